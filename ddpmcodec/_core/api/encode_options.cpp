#include "encode_options.h"

#include "threads.h"

std::string encode_usage() {
    return R"(Usage: ddpm-encode [OPTION]... IN OUT.ddpm

Encode the picture IN, a binary PPM, PGM, PBM or PAM file or a JPEG file, to the .ddpm file OUT. "-" is standard input or output.
Samples may have 8 to 16 bits. The file is decoded and compared before it is written.

  --effort N       0, the fastest, to 3, which makes the smallest file; default 2
  --levels N       noise levels before exact pixels, which make previews better and files larger: 0, 1, 2 or 5; default 1, or 0 for
                   graphics and at effort 0
  --tile N         the side of square tiles in pixels, a multiple of 16 from 64 to 1024; default: tiles of at most 2^19 pixels
  --model FILE     encode by this model in place of an embedded one
  --models FOLDER  that has the embedded models, default $DDPM_MODELS, or where they are installed
  --threads N      default: as many as there are processors
  --no-verify      do not decode and compare
  -f               overwrite OUT
  --help, --version

Exit codes: 0 success, 1 error, 2 wrong usage, 3 IN is damaged, cut off, or of another format, 4 the model is missing or a different one
)";
}

namespace {

const std::vector<Option<EncodeCommand>>& all_options() {
    static const std::vector<Option<EncodeCommand>> OPTIONS = {
        {"--effort", true, [](EncodeCommand& c, const std::string& v) { c.options.has_effort = 1, c.options.effort = uint32_t(number("--effort", v, 0, 3)); }},
        {"--levels", true, [](EncodeCommand& c, const std::string& v) { c.options.has_levels = 1, c.options.levels = uint32_t(number("--levels", v, 0, 5)); }},
        {"--tile", true, [](EncodeCommand& c, const std::string& v) { c.options.tile = uint32_t(number("--tile", v, 1, INT32_MAX)); }},
        {"--model", true, [](EncodeCommand& c, const std::string& v) { c.model = v; }},
        {"--models", true, [](EncodeCommand& c, const std::string& v) { c.models = v; }},
        {"--threads", true, [](EncodeCommand& c, const std::string& v) { c.options.threads = uint32_t(number("--threads", v, 1, ddpm::MOST_THREADS)); }},
        {"--no-verify", false, [](EncodeCommand& c, const std::string&) { c.options.no_verify = 1; }},
        {"-f", false, [](EncodeCommand& c, const std::string&) { c.files.overwrites = true; }},
    };
    return OPTIONS;
}

}  // namespace

EncodeCommand parse_encode(const std::vector<std::string>& arguments) {
    EncodeCommand command;
    command.options.struct_size = sizeof command.options;
    command.options.threads = usual_threads();
    const std::vector<std::string> files = parse_arguments(arguments, all_options(), command);
    if (files.size() != 2) fail(USED_WRONGLY, "there must be two files, IN and OUT");
    command.files.in = files[0], command.files.out = files[1];
    return command;
}
