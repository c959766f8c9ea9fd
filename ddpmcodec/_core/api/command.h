// What the commands ddpm-decode and ddpm-encode share: how they read options, fail, and end.
#pragma once
#include <charconv>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "ddpm.h"
#include "failure.h"

// The exit code of an error.
int code_of(ddpm_error error);

// A whole number. Throws Failure (USED_WRONGLY). option: its name, for messages.
uint64_t number(const std::string& option, std::string_view text, uint64_t least, uint64_t most);

// The number of threads that a command uses unless it is told.
uint32_t usual_threads();

// Where a command reads and writes; "-" is standard input or output.
struct Files {
    std::string in, out;
    bool overwrites = false;
};

// Runs the work of a command. What it throws names the file.
void with_names(const Files& files, const std::function<void()>& work);

// A command as `main` runs it. run: all that it does, but for --help and --version. memory_advice: what helps if memory is exhausted.
struct Command {
    const char* name;
    std::string (*usage)();
    void (*run)(const std::vector<std::string>& arguments);
    const char* memory_advice;
};
int run_command(const Command& command, int count, char** arguments);

// An option of a command, and its action; a value is given to those that have one.
template <class Options> struct Option {
    const char* name;
    bool has_value;
    std::function<void(Options&, const std::string&)> act;
};

// Reads arguments into options. Returns those that are files. Throws Failure (USED_WRONGLY).
template <class Options> std::vector<std::string> parse_arguments(const std::vector<std::string>& arguments, const std::vector<Option<Options>>& all, Options& options) {
    std::vector<std::string> files;
    bool only_files = false;
    for (size_t k = 0; k < arguments.size(); k++) {
        const std::string& argument = arguments[k];
        if (only_files || argument == "-" || !argument.starts_with('-')) {
            files.push_back(argument);
            continue;
        }
        if (argument == "--") {
            only_files = true;
            continue;
        }
        // A value follows a "=", or is the next argument.
        const size_t equals = argument.starts_with("--") ? argument.find('=') : argument.npos;
        const std::string name = argument.substr(0, equals);
        const auto found = std::find_if(all.begin(), all.end(), [&](const Option<Options>& option) { return name == option.name; });
        if (found == all.end()) fail(USED_WRONGLY, "there is no option " + name);
        if (!found->has_value && equals != argument.npos) fail(USED_WRONGLY, name + " takes no value");
        if (found->has_value && equals == argument.npos && k + 1 == arguments.size()) fail(USED_WRONGLY, name + " needs a value");
        found->act(options, !found->has_value ? "" : equals != argument.npos ? argument.substr(equals + 1) : arguments[++k]);
    }
    return files;
}
