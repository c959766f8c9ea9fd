#include "model_files.h"

#include <cstdlib>

#include "command.h"
#include "system.h"

namespace fs = std::filesystem;

namespace {

std::vector<char> read_all(const fs::path& path) {
    const File file(std::fopen(path.string().c_str(), "rb"));
    if (!file) fail(NO_MODEL, path.string() + ": cannot be read: " + reason());
    std::vector<char> data, piece(1 << 16);
    while (const size_t count = std::fread(piece.data(), 1, piece.size(), file.get())) data.insert(data.end(), piece.begin(), piece.begin() + std::ptrdiff_t(count));
    if (std::ferror(file.get())) fail(NO_MODEL, path.string() + ": cannot be read: " + reason());
    return data;
}

fs::path usual_folder() {
    const char* folder = std::getenv("DDPM_MODELS");
    return folder ? fs::path(folder) : executable().parent_path().parent_path() / "share" / "ddpm" / "models";
}

}  // namespace

LoadedModel load_model(const fs::path& path) {
    const std::vector<char> data = read_all(path);
    ddpm_model* loaded = nullptr;
    char message[1024];
    const ddpm_error error = ddpm_model_load(&loaded, data.empty() ? "" : data.data(), data.size(), message, sizeof message);
    if (error) fail(code_of(error), path.string() + ": " + message);
    return {loaded, ddpm_model_free};
}

fs::path embedded_model(const std::string& folder, const std::string& name, const std::string& need) {
    const fs::path path = (folder.empty() ? usual_folder() : fs::path(folder)) / (name + ".safetensors");
    if (!fs::exists(path)) fail(NO_MODEL, need + " the embedded model '" + name + "', and there is no " + path.string() + ": name its folder with --models or DDPM_MODELS");
    return path;
}
