#include "command.h"

#include <algorithm>
#include <cstdio>
#include <new>
#include <thread>

#include "threads.h"

int code_of(ddpm_error error) {
    switch (error) {
        case DDPM_ERROR_FORMAT:
        case DDPM_ERROR_TRUNCATED:
        case DDPM_ERROR_CHECKSUM:
        case DDPM_ERROR_CORRUPT: return DAMAGED;
        case DDPM_ERROR_MODEL: return NO_MODEL;
        default: return FAILED;
    }
}

uint64_t number(const std::string& option, std::string_view text, uint64_t least, uint64_t most) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < least || value > most)
        fail(USED_WRONGLY, option + " takes a whole number from " + std::to_string(least) + " to " + std::to_string(most) + ", not '" + std::string(text) + "'");
    return value;
}

uint32_t usual_threads() { return std::clamp(std::thread::hardware_concurrency(), 1u, unsigned(ddpm::MOST_THREADS)); }

void with_names(const Files& files, const std::function<void()>& work) {
    try {
        work();
    } catch (const Failure& failure) {
        const bool names_output = !files.out.empty() && failure.message.starts_with(files.out + ": ");
        throw names_output || failure.code == USED_WRONGLY ? failure : Failure{failure.code, (files.in == "-" ? "standard input" : files.in) + ": " + failure.message};
    }
}

int run_command(const Command& command, int count, char** arguments) {
    try {
        const std::vector<std::string> given(arguments + 1, arguments + count);
        const auto options_end = std::find(given.begin(), given.end(), "--");
        const auto is_given = [&](const char* option) { return std::find(given.begin(), options_end, option) != options_end; };
        if (is_given("--help"))
            std::fputs(command.usage().c_str(), stdout);
        else if (is_given("--version"))
            std::printf("%s %s\n", command.name, ddpm_version());
        else
            command.run(given);
        if (std::fflush(stdout)) fail(FAILED, "standard output: cannot be written: " + reason());
        return SUCCESS;
    } catch (const Failure& failure) {
        std::fprintf(stderr, "%s: %s\n", command.name, failure.message.c_str());
        if (failure.code == USED_WRONGLY) std::fprintf(stderr, "Try %s --help.\n", command.name);
        return failure.code;
    } catch (const std::bad_alloc&) {
        std::fprintf(stderr, "%s: memory is exhausted: %s\n", command.name, command.memory_advice);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s: %s\n", command.name, error.what());
    }
    return FAILED;
}
