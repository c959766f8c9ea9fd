#include "decode_options.h"

#include <algorithm>
#include <string_view>

#include "structs.h"

namespace {

// The numbers of --reduce, for people.
std::string reductions() {
    std::string text;
    for (const int scale : ddpm::REDUCTIONS) text += (text.empty() ? "" : ", ") + std::to_string(scale);
    return text;
}

}  // namespace

std::string usage() {
    return R"(Usage: ddpm-decode [OPTION]... IN OUT
       ddpm-decode --info IN
       ddpm-decode --list ARCHIVE

Decode the .ddpm file IN to OUT.ppm, OUT.pgm or OUT.pam (which may have alpha). "-" is standard input or output.
Samples of 9 to 16 bits are written with all of their bits.

  --partial        show what there is of a cut or damaged file, and ignore what follows its end
  --max-bytes N    a preview from the first N bytes
  --step N         a preview after N steps of the schedule
  --box X,Y,W,H    W x H pixels from column X and row Y, as they are stored
  --reduce N       a picture of 1/N of the size: )" + reductions() + R"(
  --member NAME    the image NAME of IN, an archive (.ddpma)
  --original       write the JPEG file that IN holds, or the file that it keeps whole
  --model FILE     the model that IN was written with, if it is not an embedded one
  --models FOLDER  that has the embedded models, default $DDPM_MODELS, or where they are installed
  --max-pixels N   refuse a larger image, default )" + std::to_string(DDPM_DEFAULT_MAX_PIXELS) + R"(
  --threads N      default: as many as there are processors
  -f               overwrite OUT
  --info           print what the header of IN states
  --list           print size, mode, bytes and name of each image of an archive; those that are coded together share their bytes
  --help, --version

Exit codes: 0 success, 1 error, 2 wrong usage, 3 IN is damaged, cut off, or not a .ddpm file, 4 the model is missing or a different one
)";
}

namespace {

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
    for (const int scale : ddpm::REDUCTIONS)
        if (text == std::to_string(scale)) return uint32_t(scale);
    fail(USED_WRONGLY, "--reduce takes " + reductions() + ", not '" + text + "'");
}

const std::vector<Option<Options>>& all_options() {
    static const std::vector<Option<Options>> OPTIONS = {
        {"--partial", false, [](Options& o, const std::string&) { o.plan.partial = 1; }},
        {"--max-bytes", true, [](Options& o, const std::string& v) { o.max_bytes = number("--max-bytes", v, 0, INT64_MAX), o.plan.partial = 1; }},
        {"--step", true, [](Options& o, const std::string& v) { o.plan.has_step = 1, o.plan.step = uint32_t(number("--step", v, 0, ddpm::MOST_STEPS)); }},
        {"--box", true, [](Options& o, const std::string& v) { set_box(o.plan, v); }},
        {"--reduce", true, [](Options& o, const std::string& v) { o.plan.scale = reduction(v); }},
        {"--member", true, [](Options& o, const std::string& v) { o.member = v; }},
        {"--original", false, [](Options& o, const std::string&) { o.is_original = true; }},
        {"--model", true, [](Options& o, const std::string& v) { o.model = v; }},
        {"--models", true, [](Options& o, const std::string& v) { o.models = v; }},
        {"--max-pixels", true, [](Options& o, const std::string& v) { o.plan.max_pixels = number("--max-pixels", v, 1, INT64_MAX); }},
        {"--threads", true, [](Options& o, const std::string& v) { o.plan.threads = uint32_t(number("--threads", v, 1, ddpm::MOST_THREADS)); }},
        {"-f", false, [](Options& o, const std::string&) { o.files.overwrites = true; }},
        {"--info", false, [](Options& o, const std::string&) { o.is_info = true; }},
        {"--list", false, [](Options& o, const std::string&) { o.is_list = true; }},
    };
    return OPTIONS;
}

}  // namespace

Options parse(const std::vector<std::string>& arguments) {
    Options options;
    options.plan.struct_size = sizeof options.plan;
    options.plan.threads = usual_threads();
    const std::vector<std::string> files = parse_arguments(arguments, all_options(), options);
    if (files.size() != size_t(options.named())) fail(USED_WRONGLY, options.named() == 1 ? "--info and --list take one file" : "there must be two files, IN and OUT");
    if (options.plan.scale > 1 && options.plan.has_step) fail(USED_WRONGLY, "a reduced picture has the steps that it needs: give --reduce or --step");
    options.files.in = files[0], options.files.out = files.size() > 1 ? files[1] : "";
    return options;
}
