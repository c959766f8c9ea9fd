#include "output_file.h"

#include <cstdio>
#include <filesystem>

#include "system.h"

namespace fs = std::filesystem;

namespace {

void write_all(std::FILE* file, const Data& data, const std::string& name) {
    if (std::fwrite(data.data(), 1, data.size(), file) != data.size() || std::fflush(file)) fail(FAILED, name + ": cannot be written: " + reason());
}

// Writes a file that is there as a whole or not at all.
void write_whole(const fs::path& path, const Data& data) {
    const fs::path temporary = path.string() + "." + std::to_string(process_number()) + ".tmp";
    try {
        File file(std::fopen(temporary.string().c_str(), "wbx"));
        if (!file) fail(FAILED, path.string() + ": cannot be written: " + reason());
        write_all(file.get(), data, path.string());
        if (!synchronise(file.get()) || std::fclose(file.release())) fail(FAILED, path.string() + ": cannot be written: " + reason());
        fs::rename(temporary, path);
    } catch (...) {
        std::error_code ignored;
        fs::remove(temporary, ignored);
        throw;
    }
}

// The file to which links lead, which need not exist.
fs::path target_of(fs::path path) {
    if (fs::exists(path)) return fs::is_symlink(path) ? fs::canonical(path) : path;
    while (fs::is_symlink(path)) path = path.parent_path() / fs::read_symlink(path);
    return path;
}

}  // namespace

void require_output(const Files& files) {
    if (files.out == "-") {
        if (is_terminal(stdout)) fail(FAILED, "standard output is a terminal, which shows no images: write to a file or a pipe");
        return;
    }
    if (!fs::exists(files.out)) return;
    if (fs::is_directory(files.out)) fail(FAILED, files.out + ": is a folder");
    if (fs::is_regular_file(files.out) && !files.overwrites) fail(FAILED, files.out + ": exists: -f overwrites it");
    if (files.in != "-" && fs::equivalent(files.in, files.out)) fail(FAILED, files.out + ": is the input");
}

void write_output(const Files& files, const Data& data) {
    if (files.out == "-") {
        set_binary(stdout);
        return write_all(stdout, data, "standard output");
    }
    require_output(files);
    const fs::path path = target_of(files.out);
    if (!fs::exists(path) || fs::is_regular_file(path)) return write_whole(path, data);
    const File device(std::fopen(path.string().c_str(), "wb"));
    if (!device) fail(FAILED, path.string() + ": cannot be written: " + reason());
    write_all(device.get(), data, path.string());
}
