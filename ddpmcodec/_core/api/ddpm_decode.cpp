// ddpm-decode: decodes .ddpm files to PPM, PGM and PAM. It uses no more of the library than ddpm.h.
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "ddpm.h"
#include "system.h"

namespace fs = std::filesystem;

namespace {

constexpr const char* USAGE = R"(Usage: ddpm-decode [OPTION]... IN OUT
       ddpm-decode --info IN

Decode the .ddpm file IN to OUT.ppm, OUT.pgm or OUT.pam (which may have alpha). "-" is standard input or output.

  --partial        show what there is of a cut or damaged file, and ignore what follows its end
  --max-bytes N    a preview from the first N bytes
  --step N         a preview after N steps of the schedule
  --box X,Y,W,H    W x H pixels from column X and row Y, as they are stored
  --reduce N       a picture of 1/N of the size: 2, 4, 8 or 16
  --original       write the WebP, JPEG or JPEG XL file that is stored in IN
  --model FILE     the model that IN was written with; embedded models are found in $DDPM_MODELS, or where they are installed
  --max-pixels N   refuse a larger image, default 178956970
  --threads N      default: as many as there are processors
  -f               overwrite OUT
  --info           print what the header of IN states
  --help, --version

Exit codes: 0 success, 1 error, 2 wrong usage, 3 IN is damaged, cut off, or not a .ddpm file, 4 the model is missing or a different one
)";

enum ExitCode { SUCCESS, FAILED, USED_WRONGLY, DAMAGED, NO_MODEL };

struct Failure {
    int code;
    std::string message;
};

[[noreturn]] void fail(int code, const std::string& message) { throw Failure{code, message}; }

std::string reason() { return std::strerror(errno); }

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

// --- options

struct Options {
    ddpm_plan plan{};
    std::optional<uint64_t> max_bytes;
    std::string model, in, out;
    bool overwrites = false, is_info = false, is_original = false;
};

uint64_t number(const std::string& option, std::string_view text, uint64_t least, uint64_t most) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < least || value > most)
        fail(USED_WRONGLY, option + " takes a whole number from " + std::to_string(least) + " to " + std::to_string(most) + ", not '" + std::string(text) + "'");
    return value;
}

void set_box(ddpm_plan& plan, std::string_view text) {
    uint32_t* const edges[] = {&plan.left, &plan.top, &plan.width, &plan.height};
    for (int k = 0; k < 4; k++) {
        const size_t end = k < 3 ? text.find(',') : text.size();
        if (end == text.npos) fail(USED_WRONGLY, "--box takes four whole numbers, X,Y,W,H");
        *edges[k] = uint32_t(number("--box", text.substr(0, end), k < 2 ? 0 : 1, INT32_MAX));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
}

uint32_t reduction(const std::string& text) {
    for (const uint32_t scale : {1, 2, 4, 8, 16})
        if (text == std::to_string(scale)) return scale;
    fail(USED_WRONGLY, "--reduce takes 1, 2, 4, 8 or 16, not '" + text + "'");
}

using Action = std::function<void(Options&, const std::string&)>;

// An option, and its action; a value is given to those that have one.
struct Option {
    const char* name;
    bool has_value;
    Action act;
};

const std::vector<Option>& all_options() {
    static const std::vector<Option> OPTIONS = {
        {"--partial", false, [](Options& o, const std::string&) { o.plan.partial = 1; }},
        {"--max-bytes", true, [](Options& o, const std::string& v) { o.max_bytes = number("--max-bytes", v, 0, INT64_MAX), o.plan.partial = 1; }},
        {"--step", true, [](Options& o, const std::string& v) { o.plan.has_step = 1, o.plan.step = uint32_t(number("--step", v, 0, 1000)); }},
        {"--box", true, [](Options& o, const std::string& v) { set_box(o.plan, v); }},
        {"--reduce", true, [](Options& o, const std::string& v) { o.plan.scale = reduction(v); }},
        {"--original", false, [](Options& o, const std::string&) { o.is_original = true; }},
        {"--model", true, [](Options& o, const std::string& v) { o.model = v; }},
        {"--max-pixels", true, [](Options& o, const std::string& v) { o.plan.max_pixels = number("--max-pixels", v, 1, INT64_MAX); }},
        {"--threads", true, [](Options& o, const std::string& v) { o.plan.threads = uint32_t(number("--threads", v, 1, 1024)); }},
        {"-f", false, [](Options& o, const std::string&) { o.overwrites = true; }},
        {"--info", false, [](Options& o, const std::string&) { o.is_info = true; }},
    };
    return OPTIONS;
}

// The option `argument`, whose value may follow a "=" or be the next argument.
void apply_option(Options& options, const std::string& argument, const std::function<std::string()>& next) {
    const size_t equals = argument.starts_with("--") ? argument.find('=') : argument.npos;
    const std::string name = argument.substr(0, equals);
    for (const Option& option : all_options()) {
        if (name != option.name) continue;
        if (!option.has_value && equals != argument.npos) fail(USED_WRONGLY, name + " takes no value");
        return option.act(options, equals != argument.npos ? argument.substr(equals + 1) : option.has_value ? next() : "");
    }
    fail(USED_WRONGLY, "there is no option " + name);
}

Options parse(const std::vector<std::string>& arguments) {
    Options options;
    options.plan.struct_size = sizeof options.plan;
    options.plan.threads = std::clamp(std::thread::hardware_concurrency(), 1u, 1024u);
    std::vector<std::string> files;
    bool only_files = false;
    for (size_t k = 0; k < arguments.size(); k++) {
        const std::string& argument = arguments[k];
        if (only_files || argument == "-" || !argument.starts_with('-'))
            files.push_back(argument);
        else if (argument == "--")
            only_files = true;
        else
            apply_option(options, argument, [&] { return k + 1 < arguments.size() ? arguments[++k] : (fail(USED_WRONGLY, argument + " needs a value"), ""); });
    }
    if (files.size() != (options.is_info ? 1 : 2)) fail(USED_WRONGLY, options.is_info ? "--info takes one file, IN" : "there must be two files, IN and OUT");
    if (options.plan.scale > 1 && options.plan.has_step) fail(USED_WRONGLY, "a reduced picture has the steps that it needs: give --reduce or --step");
    options.in = files[0], options.out = options.is_info ? "" : files[1];
    return options;
}

// --- input

struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

using Decoder = std::unique_ptr<ddpm_decoder, decltype(&ddpm_decoder_free)>;
using Model = std::unique_ptr<ddpm_model, decltype(&ddpm_model_free)>;

void check(const Decoder& decoder, ddpm_error error) {
    if (error) fail(code_of(error), ddpm_decoder_error(decoder.get(), nullptr));
}

// Gives the decoder all that arrives, or its first bytes.
void feed_all(const Decoder& decoder, std::FILE* file, uint64_t most) {
    std::vector<char> piece(1 << 16);
    while (most) {
        const size_t count = std::fread(piece.data(), 1, size_t(std::min<uint64_t>(piece.size(), most)), file);
        if (!count) break;
        check(decoder, ddpm_decoder_feed(decoder.get(), piece.data(), count));
        most -= count;
    }
    if (std::ferror(file)) fail(FAILED, "cannot be read: " + reason());
    check(decoder, ddpm_decoder_finish(decoder.get()));
}

int read_file(void* file, uint64_t offset, void* buffer, size_t size) {
    return !seek(static_cast<std::FILE*>(file), offset) || std::fread(buffer, 1, size, static_cast<std::FILE*>(file)) != size;
}

// Returns the file that the decoder reads from now on; null for standard input.
File open_input(const Decoder& decoder, const Options& options) {
    const uint64_t most = options.max_bytes.value_or(UINT64_MAX);
    if (options.in == "-") {
        set_binary(stdin);
        feed_all(decoder, stdin, most);
        return nullptr;
    }
    std::error_code error;
    if (fs::is_directory(options.in, error)) fail(FAILED, "is a folder");
    File file(std::fopen(options.in.c_str(), "rb"));
    if (!file) fail(FAILED, "cannot be read: " + reason());
    if (!fs::is_regular_file(options.in, error)) {
        feed_all(decoder, file.get(), most);
        return file;
    }
    check(decoder, ddpm_decoder_set_reader(decoder.get(), std::min<uint64_t>(fs::file_size(options.in), most), read_file, file.get()));
    return file;
}

std::vector<char> read_all(const fs::path& path) {
    const File file(std::fopen(path.string().c_str(), "rb"));
    if (!file) fail(NO_MODEL, path.string() + ": cannot be read: " + reason());
    std::vector<char> data, piece(1 << 16);
    while (const size_t count = std::fread(piece.data(), 1, piece.size(), file.get())) data.insert(data.end(), piece.begin(), piece.begin() + std::ptrdiff_t(count));
    if (std::ferror(file.get())) fail(NO_MODEL, path.string() + ": cannot be read: " + reason());
    return data;
}

// --- models

std::string hex(const uint8_t (&id)[4]) {
    char text[9];
    std::snprintf(text, sizeof text, "%02x%02x%02x%02x", id[0], id[1], id[2], id[3]);
    return text;
}

// The folder of the embedded models: $DDPM_MODELS, or share/ddpm/models of the installation that this command is of.
fs::path models_folder() {
    const char* folder = std::getenv("DDPM_MODELS");
    return folder ? fs::path(folder) : executable().parent_path().parent_path() / "share" / "ddpm" / "models";
}

fs::path model_path(const ddpm_info& info) {
    if (!info.model_number) fail(NO_MODEL, "was written with model " + hex(info.model_id) + ": name its file with --model");
    const char* name = ddpm_model_name(info.model_number);
    if (!name) fail(NO_MODEL, "was written with the embedded model number " + std::to_string(info.model_number) + " of a newer version: install it");
    const fs::path path = models_folder() / (std::string(name) + ".safetensors");
    if (!fs::exists(path)) fail(NO_MODEL, "was written with the embedded model '" + std::string(name) + "', and there is no " + path.string() + ": name its file with --model, or its folder with DDPM_MODELS");
    return path;
}

ddpm_info info_of(const Decoder& decoder) {
    ddpm_info info{};
    info.struct_size = sizeof info;
    check(decoder, ddpm_decoder_info(decoder.get(), &info));
    return info;
}

void set_model(const Decoder& decoder, const Options& options) {
    const fs::path path = options.model.empty() ? model_path(info_of(decoder)) : fs::path(options.model);
    const std::vector<char> data = read_all(path);
    ddpm_model* loaded = nullptr;
    char message[1024];
    const ddpm_error error = ddpm_model_load(&loaded, data.empty() ? "" : data.data(), data.size(), message, sizeof message);
    const Model model(loaded, ddpm_model_free);
    if (error) fail(code_of(error), path.string() + ": " + message);
    check(decoder, ddpm_decoder_set_model(decoder.get(), model.get()));
}

// --- output

using Data = std::vector<uint8_t>;

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

void require_output(const Options& options) {
    if (options.out == "-") {
        if (is_terminal(stdout)) fail(FAILED, "standard output is a terminal, which shows no images: write to a file or a pipe");
        return;
    }
    if (!fs::exists(options.out)) return;
    if (fs::is_directory(options.out)) fail(FAILED, options.out + ": is a folder");
    if (fs::is_regular_file(options.out) && !options.overwrites) fail(FAILED, options.out + ": exists: -f overwrites it");
    if (options.in != "-" && fs::equivalent(options.in, options.out)) fail(FAILED, options.out + ": is the input");
}

void write_output(const Options& options, const Data& data) {
    if (options.out == "-") {
        set_binary(stdout);
        return write_all(stdout, data, "standard output");
    }
    require_output(options);
    const fs::path path = fs::is_symlink(options.out) ? fs::canonical(options.out) : fs::path(options.out);
    if (!fs::exists(path) || fs::is_regular_file(path)) return write_whole(path, data);
    const File device(std::fopen(path.string().c_str(), "wb"));
    if (!device) fail(FAILED, path.string() + ": cannot be written: " + reason());
    write_all(device.get(), data, path.string());
}

// --- PPM, PGM, PAM

enum class Format { PNM, PPM, PGM, PAM };

Format format_of(const std::string& out) {
    const std::string extension = fs::path(out).extension().string();
    if (out == "-") return Format::PNM;
    if (extension == ".ppm") return Format::PPM;
    if (extension == ".pgm") return Format::PGM;
    if (extension == ".pam") return Format::PAM;
    fail(USED_WRONGLY, out + ": OUT must end in .ppm, .pgm or .pam, or be -");
}

std::string header_of(const ddpm_layout& layout, bool is_pam) {
    static constexpr const char* TYPES[] = {"GRAYSCALE", "GRAYSCALE_ALPHA", "RGB", "RGB_ALPHA"};
    const std::string width = std::to_string(layout.width), height = std::to_string(layout.height);
    if (!is_pam) return std::string(layout.channels == 3 ? "P6" : "P5") + "\n" + width + " " + height + "\n255\n";
    return "P7\nWIDTH " + width + "\nHEIGHT " + height + "\nDEPTH " + std::to_string(layout.channels) + "\nMAXVAL 255\nTUPLTYPE " + TYPES[layout.channels - 1] + "\nENDHDR\n";
}

// A PPM has three channels, so that a grey image is repeated there.
void make_rgb(ddpm_layout& layout, Data& pixels) {
    Data colours;
    colours.reserve(3 * pixels.size());
    for (const uint8_t grey : pixels) colours.insert(colours.end(), 3, grey);
    pixels = std::move(colours);
    layout.channels = 3;
}

Data file_of(ddpm_layout layout, Data pixels, Format format, const std::string& out) {
    const bool has_alpha = layout.channels == 2 || layout.channels == 4;
    if (has_alpha && (format == Format::PPM || format == Format::PGM)) fail(FAILED, out + ": the image has alpha: name OUT .pam");
    if (layout.channels == 3 && format == Format::PGM) fail(FAILED, out + ": the image has colours: name OUT .ppm or .pam");
    if (layout.channels == 1 && format == Format::PPM) make_rgb(layout, pixels);
    const std::string header = header_of(layout, has_alpha || format == Format::PAM);
    pixels.insert(pixels.begin(), header.begin(), header.end());
    return pixels;
}

// --- decoding

void print_info(const ddpm_info& info) {
    static constexpr const char* MODES[] = {"grey", "RGB", "grey and alpha", "RGB and alpha", "bilevel"};
    static constexpr const char* KINDS[] = {"pixels", "a WebP file", "a JPEG file", "a JPEG file coded by JPEG XL"};
    std::printf("size: %u x %u\nmode: %s\nholds: %s\norientation: %u\n", info.width, info.height, info.mode < 5 ? MODES[info.mode] : "unknown",
                info.kind < 4 ? KINDS[info.kind] : "unknown", info.orientation);
    if (info.kind == DDPM_KIND_PIXELS) {
        const char* name = ddpm_model_name(info.model_number);
        const std::string model = name ? name : info.model_number ? "number " + std::to_string(info.model_number) : hex(info.model_id);
        std::printf("effort: %u\nnoise levels: %u\nmodel: %s\ntiles: %u of up to %u x %u\n", info.effort, info.levels, model.c_str(), info.tiles, info.tile_width, info.tile_height);
    }
    std::printf("bytes: %llu, of which header %llu and payload %llu\n", (unsigned long long)info.file_length, (unsigned long long)info.header_length, (unsigned long long)info.payload_length);
}

// What is written in place of pixels that this command cannot decode.
Data stored_file(const Decoder& decoder, const Options& options) {
    static constexpr const char* NAMES[] = {"pixels", "a WebP file", "a JPEG file", "a JPEG XL file"};
    const ddpm_info info = info_of(decoder);
    if (!options.is_original) fail(FAILED, "holds " + std::string(NAMES[info.kind]) + ", which ddpm-decode does not decode: --original writes that file");
    const uint8_t* data = nullptr;
    size_t size = 0;
    check(decoder, ddpm_decoder_section(decoder.get(), DDPM_SECTION_PAYLOAD, &data, &size));
    return {data, data + size};
}

// Says of a preview how much was there.
void report(const Decoder& decoder, const Options& options) {
    ddpm_verdict verdict{};
    verdict.struct_size = sizeof verdict;
    check(decoder, ddpm_decoder_verdict(decoder.get(), &verdict));
    if (!options.plan.partial && !options.plan.has_step && !verdict.is_lossy) return;
    const char* account = verdict.is_exact ? "complete and exact" : verdict.is_damaged ? "damaged: not all of it is what was encoded" : verdict.is_lossy ? "a lossy file, cut on purpose" : "a preview";
    std::fprintf(stderr, "ddpm-decode: %s: %u of %u steps, %llu bytes: %s\n", options.in.c_str(), verdict.steps_done, verdict.steps, (unsigned long long)verdict.bytes_used, account);
}

Data picture(const Decoder& decoder, const Options& options, Format format) {
    ddpm_layout layout{};
    layout.struct_size = sizeof layout;
    check(decoder, ddpm_decoder_layout(decoder.get(), &layout));
    Data pixels(size_t(layout.size));
    check(decoder, ddpm_decoder_pixels(decoder.get(), pixels.data(), pixels.size(), 0));
    return file_of(layout, std::move(pixels), format, options.out);
}

Decoder decoder_for(const ddpm_plan& plan) {
    Decoder decoder(ddpm_decoder_new(), ddpm_decoder_free);
    if (!decoder) throw std::bad_alloc();
    check(decoder, ddpm_decoder_set_plan(decoder.get(), &plan));
    return decoder;
}

void show_info(Options options) {
    options.plan.max_pixels = 1;  // ends decoding once the header was read
    const Decoder decoder = decoder_for(options.plan);
    const File input = open_input(decoder, options);
    const ddpm_event event = ddpm_decoder_advance(decoder.get(), 0);
    ddpm_error error = DDPM_OK;
    const std::string message = ddpm_decoder_error(decoder.get(), &error);
    if (event == DDPM_ERROR && error != DDPM_ERROR_IMAGE) fail(code_of(error), message);
    print_info(info_of(decoder));
}

void decode(const Options& options) {
    const Format format = options.is_original ? Format::PNM : format_of(options.out);
    require_output(options);
    const Decoder decoder = decoder_for(options.plan);
    const File input = open_input(decoder, options);
    for (;;) {
        const ddpm_event event = ddpm_decoder_advance(decoder.get(), DDPM_FOREVER);
        if (event == DDPM_NEED_PIXELS) return write_output(options, stored_file(decoder, options));
        if (event == DDPM_NEED_MODEL && options.is_original) fail(FAILED, "holds pixels, and no other file: leave out --original");
        if (event == DDPM_NEED_MODEL) set_model(decoder, options);
        if (event == DDPM_DONE) break;
        if (event == DDPM_ERROR || event == DDPM_NEED_BYTES) {
            ddpm_error error = DDPM_OK;
            const char* message = ddpm_decoder_error(decoder.get(), &error);
            fail(code_of(error), message);
        }
    }
    if (options.is_original) fail(DAMAGED, "the file that is stored in it is not complete");
    write_output(options, picture(decoder, options, format));
    report(decoder, options);
}

int run(const std::vector<std::string>& arguments) {
    for (const std::string& argument : arguments) {
        if (argument == "--") break;
        if (argument == "--help") return std::fputs(USAGE, stdout), SUCCESS;
        if (argument == "--version") return std::printf("ddpm-decode %s\n", ddpm_version()), SUCCESS;
    }
    const Options options = parse(arguments);
    try {
        options.is_info ? show_info(options) : decode(options);
    } catch (const Failure& failure) {
        const bool names_output = !options.out.empty() && failure.message.starts_with(options.out + ": ");
        throw names_output || failure.code == USED_WRONGLY ? failure : Failure{failure.code, (options.in == "-" ? "standard input" : options.in) + ": " + failure.message};
    }
    return SUCCESS;
}

}  // namespace

int main(int count, char** arguments) {
    try {
        const int code = run({arguments + 1, arguments + count});
        if (std::fflush(stdout)) fail(FAILED, "standard output: cannot be written: " + reason());
        return code;
    } catch (const Failure& failure) {
        std::fprintf(stderr, "ddpm-decode: %s\n", failure.message.c_str());
        if (failure.code == USED_WRONGLY) std::fputs("Try ddpm-decode --help.\n", stderr);
        return failure.code;
    } catch (const std::bad_alloc&) {
        std::fputs("ddpm-decode: memory is exhausted: decode a part (--box), or with fewer threads (--threads)\n", stderr);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "ddpm-decode: %s\n", error.what());
    }
    return FAILED;
}
