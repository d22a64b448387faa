// An engine that answers on demand, for `python -m benchmarks hosts`: models and pictures are loaded once, then every
// line on stdin is one pass and every line on stdout says that it is over.
//
//   host_bench BUNDLE THREADS IMAGE...
//   {"texts": [...]}                        scores all images, one text each
//   {"text": "...", "windows_px": [...], "stride_px": N, "aggregate": "mean"}   maps the first image
#include <iostream>

#include "json.hpp"
#include "realm/realm.hpp"

namespace {

double answer(const realm::Engine& engine, const std::vector<realm::Image>& images, const realm::Json& request) {
    if (request.contains("texts")) {
        const std::vector<realm::ImageView> views(images.begin(), images.end());
        return engine.score(views, request["texts"].get<std::vector<std::string>>()).back().mos;
    }
    realm::MapOptions options;
    options.windows_px = request.at("windows_px").get<std::vector<int>>();
    options.stride_px = request.at("stride_px").get<int>();
    options.aggregate = request.at("aggregate") == "max" ? realm::Aggregate::max : realm::Aggregate::mean;
    return static_cast<double>(engine.map(images[0], request.at("text").get<std::string>(), options).values[0]);
}

}  // namespace

int main(int count, char** words) {
    if (count < 4) {
        std::cerr << "usage: host_bench BUNDLE THREADS IMAGE...\n";
        return 2;
    }
    try {
        realm::Options options;
        options.threads = std::stoi(words[2]);
        const realm::Engine engine(words[1], options);
        std::vector<realm::Image> images;
        for (int index = 3; index < count; ++index) images.push_back(realm::load_image(words[index]));
        for (std::string line; std::getline(std::cin, line);)
            std::cout << answer(engine, images, realm::Json::parse(line)) << std::endl;
    } catch (const std::exception& error) {
        std::cerr << "error: " << error.what() << '\n';
        return 2;
    }
    return 0;
}
