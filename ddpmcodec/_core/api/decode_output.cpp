#include "decode_output.h"

#include <filesystem>

#include "failure.h"

namespace fs = std::filesystem;

Format format_of(const std::string& out) {
    const std::string extension = fs::path(out).extension().string();
    if (out == "-") return Format::PNM;
    if (extension == ".ppm") return Format::PPM;
    if (extension == ".pgm") return Format::PGM;
    if (extension == ".pam") return Format::PAM;
    fail(USED_WRONGLY, out + ": OUT must end in .ppm, .pgm or .pam, or be -");
}

namespace {

std::string header_of(const ddpm_layout& layout, uint32_t bits, bool is_pam) {
    static constexpr const char* TYPES[] = {"GRAYSCALE", "GRAYSCALE_ALPHA", "RGB", "RGB_ALPHA"};
    const std::string width = std::to_string(layout.width), height = std::to_string(layout.height), most = std::to_string((1u << bits) - 1);
    if (!is_pam) return std::string(layout.channels == 3 ? "P6" : "P5") + "\n" + width + " " + height + "\n" + most + "\n";
    return "P7\nWIDTH " + width + "\nHEIGHT " + height + "\nDEPTH " + std::to_string(layout.channels) + "\nMAXVAL " + most + "\nTUPLTYPE " + TYPES[layout.channels - 1] + "\nENDHDR\n";
}

// A PPM has three channels, so that a grey image is repeated there.
void make_rgb(ddpm_layout& layout, size_t sample_bytes, Data& pixels) {
    Data colours;
    colours.reserve(3 * pixels.size());
    for (auto grey = pixels.begin(); grey != pixels.end(); grey += std::ptrdiff_t(sample_bytes))
        for (int colour = 0; colour < 3; colour++) colours.insert(colours.end(), grey, grey + std::ptrdiff_t(sample_bytes));
    pixels = std::move(colours);
    layout.channels = 3;
}

}  // namespace

Data file_of(ddpm_layout layout, uint32_t bits, Data pixels, Format format, const std::string& out) {
    const bool has_alpha = layout.channels == 2 || layout.channels == 4;
    if (has_alpha && (format == Format::PPM || format == Format::PGM)) fail(FAILED, out + ": the image has alpha: name OUT .pam");
    if (layout.channels == 3 && format == Format::PGM) fail(FAILED, out + ": the image has colours: name OUT .ppm or .pam");
    if (layout.channels == 1 && format == Format::PPM) make_rgb(layout, bits > 8 ? 2 : 1, pixels);
    const std::string header = header_of(layout, bits, has_alpha || format == Format::PAM);
    pixels.insert(pixels.begin(), header.begin(), header.end());
    return pixels;
}
