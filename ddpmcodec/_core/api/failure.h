// How ddpm-decode fails: by a message, and an exit code.
#pragma once
#include <cerrno>
#include <cstring>
#include <string>

enum ExitCode { SUCCESS, FAILED, USED_WRONGLY, DAMAGED, NO_MODEL };

struct Failure {
    int code;
    std::string message;
};

[[noreturn]] inline void fail(int code, const std::string& message) { throw Failure{code, message}; }

inline std::string reason() { return std::strerror(errno); }
