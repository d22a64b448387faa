#include <fstream>
#include <limits>
#include <set>
#include <sstream>
#include <string>
#include <thread>

#ifdef __linux__
#include <sched.h>
#endif

#include "session.hpp"

namespace realm {
namespace {

std::string first_line(const std::string& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

// Cores of a quota "max_us period_us"; infinity for none.
double quota(const std::string& allowed, const std::string& period) {
    const auto digits = [](const std::string& text) {
        return !text.empty() && text.size() < 16 && text.find_first_not_of("0123456789") == std::string::npos;
    };
    if (!digits(allowed) || !digits(period) || std::stod(period) <= 0) return std::numeric_limits<double>::infinity();
    return std::stod(allowed) / std::stod(period);
}

// The tightest quota of this process's control group and its parents (version 2, then 1).
double tightest_quota() {
    std::set<std::string> groups{""};
    std::ifstream membership("/proc/self/cgroup");
    for (std::string line; std::getline(membership, line);) {
        const std::size_t colon = line.find(':', line.find(':') + 1);
        if (colon == std::string::npos) continue;
        for (std::string group = line.substr(colon + 1); group.size() > 1; group.resize(group.rfind('/')))
            groups.insert(group);
    }
    double least = std::numeric_limits<double>::infinity();
    for (const std::string& group : groups) {
        std::istringstream words(first_line("/sys/fs/cgroup" + group + "/cpu.max"));
        std::string allowed, period;
        words >> allowed >> period;
        least = std::min(least, quota(allowed, period));
        for (const char* controller : {"cpu", "cpu,cpuacct"}) {
            const std::string folder = std::string("/sys/fs/cgroup/") + controller + group;
            least = std::min(least, quota(first_line(folder + "/cpu.cfs_quota_us"),
                                          first_line(folder + "/cpu.cfs_period_us")));
        }
    }
    return least;
}

}  // namespace

int usable_cores() {
    int cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
#ifdef __linux__
    cpu_set_t set;
    if (::sched_getaffinity(0, sizeof set, &set) == 0) cores = std::max(1, CPU_COUNT(&set));
#endif
    const double allowed = tightest_quota();
    return allowed < cores ? std::max(1, static_cast<int>(allowed)) : cores;
}

bool has_int8_units() {
    // As the Python engine's `runtimes/rule.py`: the flags of x86, then Arm's.
    static const std::set<std::string> units{"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"};
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line) && !line.empty();) {
        if (line.rfind("flags", 0) != 0 && line.rfind("Features", 0) != 0) continue;
        std::istringstream words(line);
        for (std::string word; words >> word;)
            if (units.count(word) != 0) return true;
    }
    return false;
}

}  // namespace realm
