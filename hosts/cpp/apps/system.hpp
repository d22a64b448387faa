// What differs from system to system in realm_host. Texts are UTF-8 on all of them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace host {

std::filesystem::path path_of(const std::string& text);
std::string text_of(const std::filesystem::path& path);

// What the program was called with, without its own name.
std::vector<std::string> arguments(int count, char** words);
// Before anything is written: a reader that has gone ends the program, and a console shows UTF-8.
void prepare_streams();
// Whether somebody sees what goes to stdout.
bool is_seen();
// What the process can take on top of what it holds, and `stack` for each of its threads; nothing where the system has no
// such limit.
void hold_within(std::uint64_t bytes, std::uint64_t stack);

}  // namespace host
