// What ddpm-decode needs of the system beyond the standard library.
#pragma once
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>

#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#include <process.h>
#include <windows.h>
#else
#include <unistd.h>
#endif
#ifdef __APPLE__
#include <mach-o/dyld.h>
#endif

struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

// Keeps line ends as they are.
inline void set_binary([[maybe_unused]] std::FILE* file) {
#ifdef _WIN32
    _setmode(_fileno(file), _O_BINARY);
#endif
}

inline bool is_terminal(std::FILE* file) {
#ifdef _WIN32
    return _isatty(_fileno(file));
#elif defined(__EMSCRIPTEN__)
    return !file;  // its isatty takes every standard output for one
#else
    return isatty(fileno(file));
#endif
}

inline bool seek(std::FILE* file, uint64_t offset) {
#ifdef _WIN32
    return !_fseeki64(file, int64_t(offset), SEEK_SET);
#else
    return !fseeko(file, off_t(offset), SEEK_SET);
#endif
}

// Waits until what was written is on the disk.
inline bool synchronise(std::FILE* file) {
#ifdef _WIN32
    return !_commit(_fileno(file));
#else
    return !fsync(fileno(file));
#endif
}

inline int process_number() {
#ifdef _WIN32
    return _getpid();
#else
    return int(getpid());
#endif
}

// The path of this program; empty if the system does not tell.
inline std::filesystem::path executable() {
#if defined(_WIN32)
    wchar_t path[MAX_PATH];
    const DWORD length = GetModuleFileNameW(nullptr, path, MAX_PATH);
    return length && length < MAX_PATH ? std::filesystem::path(path) : std::filesystem::path();
#elif defined(__APPLE__)
    char path[4096];
    uint32_t size = sizeof path;
    return _NSGetExecutablePath(path, &size) ? std::filesystem::path() : std::filesystem::canonical(path);
#else
    std::error_code error;
    return std::filesystem::read_symlink("/proc/self/exe", error);
#endif
}
