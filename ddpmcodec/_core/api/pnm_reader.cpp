#include "pnm_reader.h"

#include <bit>
#include <optional>
#include <string>

#include "failure.h"

namespace {

constexpr uint32_t MOST_SIDE = INT32_MAX, MOST_SAMPLE = 65535;
constexpr size_t MOST_DIGITS = 10;

[[noreturn]] void refuse_damaged(const std::string& problem) { fail(DAMAGED, "the file is damaged: " + problem); }

bool is_space(uint8_t byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

// What the header of a file states.
struct PnmHeader {
    uint32_t width = 0, height = 0, channels = 0, most = 0;  // most: the largest sample
    bool is_packed = false;                                  // bits, of which ones are black
    bool is_bilevel = false;
    size_t size = 0;                                         // bytes
};

// Reads a header, word by word and line by line.
class HeaderReader {
  public:
    explicit HeaderReader(const std::vector<uint8_t>& file) : file_(file) {}

    // A whole number, after spaces and comments.
    uint32_t number(const char* name, uint32_t most) {
        while (is_space(byte()) || byte() == '#')
            if (file_[at_++] == '#') line();
        std::string digits;
        for (; byte() >= '0' && byte() <= '9'; at_++) digits += char(byte());
        if (digits.empty() || digits.size() > MOST_DIGITS || std::stoull(digits) > most) refuse_damaged(std::string(name) + " must be a number of at most " + std::to_string(most));
        return uint32_t(std::stoull(digits));
    }
    // The single space that ends a header.
    void space() {
        if (!is_space(byte())) refuse_damaged("a space must follow the header");
        at_++;
    }
    std::string line() {
        std::string text;
        for (; byte() != '\n'; at_++) text += char(byte());
        at_++;
        return text;
    }
    void skip(size_t count) { at_ += count; }
    size_t position() const { return at_; }

  private:
    uint8_t byte() const {
        if (at_ >= file_.size()) fail(DAMAGED, "the file ends in its header");
        return file_[at_];
    }

    const std::vector<uint8_t>& file_;
    size_t at_ = 0;
};

PnmHeader pnm_header(HeaderReader& reader, char kind) {
    PnmHeader header;
    reader.skip(2);
    header.width = reader.number("the width", MOST_SIDE), header.height = reader.number("the height", MOST_SIDE);
    header.channels = kind == '6' ? 3 : 1;
    header.is_packed = header.is_bilevel = kind == '4';
    header.most = header.is_packed ? 1 : reader.number("the largest value", MOST_SAMPLE);
    reader.space();
    return header;
}

// The channels of a type of tuples; none: the type is unknown.
std::optional<uint32_t> channels_of(const std::string& type, uint32_t depth) {
    static constexpr const char* TYPES[] = {"GRAYSCALE", "GRAYSCALE_ALPHA", "RGB", "RGB_ALPHA"};
    if (type.empty() && depth >= 1 && depth <= std::size(TYPES)) return depth;
    if (type == "BLACKANDWHITE") return 1;
    for (uint32_t k = 0; k < std::size(TYPES); k++)
        if (type == TYPES[k]) return k + 1;
    return {};
}

PnmHeader pam_header(HeaderReader& reader) {
    PnmHeader header;
    std::string type;
    reader.skip(3);
    while (true) {
        const std::string line = reader.line();
        const size_t space = std::min(line.find_first_of(" \t\r"), line.size());
        const std::string key = line.substr(0, space);
        const std::vector<uint8_t> rest(line.begin() + std::ptrdiff_t(space), line.end());
        auto value = [&](uint32_t most) {
            std::vector<uint8_t> text = rest;
            text.push_back('\n');
            return HeaderReader(text).number(key.c_str(), most);
        };
        if (key == "ENDHDR") break;
        if (key == "WIDTH") header.width = value(MOST_SIDE);
        else if (key == "HEIGHT") header.height = value(MOST_SIDE);
        else if (key == "DEPTH") header.channels = value(MOST_SIDE);
        else if (key == "MAXVAL") header.most = value(MOST_SAMPLE);
        else if (key == "TUPLTYPE") type = line.substr(std::min(line.find_first_not_of(" \t\r", space), line.size()));
        else if (!key.empty() && key[0] != '#') refuse_damaged("its header has a line " + key);
    }
    while (!type.empty() && is_space(uint8_t(type.back()))) type.pop_back();
    const std::optional<uint32_t> channels = channels_of(type, header.channels);
    if (!channels) fail(FAILED, "has pixels of type '" + type + "', which are not encoded");
    if (*channels != header.channels) refuse_damaged("pixels of type " + type + " have " + std::to_string(*channels) + " samples, not " + std::to_string(header.channels));
    header.is_bilevel = type == "BLACKANDWHITE";
    return header;
}

PnmHeader header_of(const std::vector<uint8_t>& file) {
    HeaderReader reader(file);
    PnmHeader header = file[1] == '7' ? pam_header(reader) : pnm_header(reader, char(file[1]));
    header.size = reader.position();
    if (!header.width || !header.height) refuse_damaged("it has no pixels");
    return header;
}

// Samples are kept as numbers of so many bits: other largest values would be lost.
uint32_t bits_of(const PnmHeader& header) {
    if (header.is_bilevel) {
        if (header.most != 1) fail(FAILED, "has black and white pixels of values to " + std::to_string(header.most) + ", not 1, which are not encoded");
        return 8;
    }
    const uint32_t bits = uint32_t(std::bit_width(header.most));
    if (header.most + 1 != 1u << bits || bits < 8) fail(FAILED, "has samples to " + std::to_string(header.most) + ": only those to 255, 511, 1023, ..., 65535 are encoded");
    return bits;
}

uint64_t body_bytes(const PnmHeader& header) {
    if (header.is_packed) return (uint64_t(header.width) + 7) / 8 * header.height;
    const uint64_t row = uint64_t(header.width) * header.channels * (header.most > 255 ? 2 : 1);
    return row > UINT64_MAX / header.height ? UINT64_MAX : row * header.height;
}

}  // namespace

bool is_pnm(const std::vector<uint8_t>& file) {
    if (file.size() < 3 || file[0] != 'P') return false;
    return file[1] == '7' ? file[2] == '\n' : file[1] >= '1' && file[1] <= '6' && (is_space(file[2]) || file[2] == '#');
}

PnmPicture::PnmPicture(const std::vector<uint8_t>& file) {
    if (!is_pnm(file)) fail(DAMAGED, "is not a PPM, PGM, PBM, PAM or JPEG file");
    if (file[1] < '4') fail(FAILED, "is a PNM file of text: write a binary one");
    const PnmHeader header = header_of(file);
    static constexpr ddpm_mode MODES[] = {DDPM_GREY, DDPM_GREY_ALPHA, DDPM_RGB, DDPM_RGBA};
    picture_.struct_size = sizeof picture_;
    picture_.width = header.width, picture_.height = header.height;
    picture_.mode = header.is_bilevel ? DDPM_BILEVEL : MODES[header.channels - 1];
    picture_.bits = bits_of(header);
    most_ = header.most;
    const uint64_t needed = body_bytes(header), left = file.size() - header.size;
    if (left < needed) fail(DAMAGED, "the file is cut off: its pixels have " + std::to_string(needed) + " bytes, and " + std::to_string(left) + " are there");
    if (left > needed) fail(FAILED, std::to_string(left - needed) + " bytes follow the picture, which would be lost");
    const uint8_t* body = file.data() + header.size;
    if (!header.is_packed) samples_.assign(body, body + needed);
    header.is_packed ? read_bitmap(body) : read_samples();
}

// Rows begin at bytes; the first pixel is the highest bit.
void PnmPicture::read_bitmap(const uint8_t* rows) {
    const size_t row = (picture_.width + 7) / 8;
    samples_.reserve(size_t(picture_.width) * picture_.height);
    for (size_t y = 0; y < picture_.height; y++)
        for (size_t x = 0; x < picture_.width; x++) samples_.push_back(rows[y * row + x / 8] >> (7 - x % 8) & 1 ? 0 : 255);
    picture_.planes[0] = samples_.data(), picture_.size = samples_.size();
}

// Samples of two bytes have the high one first.
void PnmPicture::read_samples() {
    if (picture_.bits > 8) {
        deep_.reserve(samples_.size() / 2);
        for (size_t at = 0; at < samples_.size(); at += 2) deep_.push_back(uint16_t(samples_[at] << 8 | samples_[at + 1]));
        samples_ = {};
        for (const uint16_t sample : deep_)
            if (sample > most_) refuse_damaged("a sample is " + std::to_string(sample) + ", and the largest value is " + std::to_string(most_));
        picture_.planes[0] = deep_.data(), picture_.size = 2 * deep_.size();
        return;
    }
    if (most_ == 1)
        for (uint8_t& sample : samples_) {
            if (sample > 1) refuse_damaged("a sample is " + std::to_string(sample) + ", and the largest value is 1");
            sample = sample ? 255 : 0;
        }
    picture_.planes[0] = samples_.data(), picture_.size = samples_.size();
}
