// Opens a bundle, scores an image with a description, lists its measures, and maps where it does not look real.
#include <cstdio>

#include <realm/realm.hpp>

int main(int count, char** words) {
    if (count != 4) {
        std::fprintf(stderr, "usage: %s BUNDLE IMAGE DESCRIPTION\n", words[0]);
        return 2;
    }
    try {
        const realm::Engine engine(words[1]);
        const realm::Image image = realm::load_image(words[2]);
        const realm::Score score = engine.score(image, words[3]);
        std::printf("MOS %.4f, realness %.1f of 100\n", score.mos, score.realness);
        for (const realm::Measure& measure : engine.measures()) {
            const realm::Measured answer = engine.measure(image, words[3], {measure.name});
            for (std::size_t at = 0; at < answer.values.size(); ++at) {
                const realm::Column& column = measure.columns[at];
                if (column.words.empty()) std::printf("%s: %.3f (%s)\n", column.name.c_str(), answer.values[at], column.meaning.c_str());
                else std::printf("%s: %s (%s)\n", column.name.c_str(), answer.words[at].c_str(), column.meaning.c_str());
            }
        }
        realm::MapOptions options;
        options.stride_px = 16;
        const realm::RealnessMap map = engine.map(image, words[3], options);
        for (const realm::Region& region : map.regions(1))
            std::printf("least real: %d x %d pixels at (%d, %d), realness %.3f\n", region.width, region.height,
                        region.x, region.y, region.mean_realness);
    } catch (const realm::Error& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 2;
    }
    return 0;
}
