#include "usual_items.h"

namespace ddpm {

namespace {

using Items = std::vector<Item>;

constexpr uint8_t AC_END = BLOCK_VALUES - 1;

bool is_chroma(const Coefficients& image, size_t component) {
    return (image.colour == JpegColour::YCBCR || image.colour == JpegColour::YCCK) && (component == 1 || component == 2);
}

// Numbers of tables, as most encoders assign them.
int slots(const Coefficients& image) { return is_chroma(image, 1) ? 2 : 1; }
uint8_t slot(const Coefficients& image, size_t component) { return is_chroma(image, component); }

// One segment for each table, or one for all.
template <class Tables> Items segments(const Tables& tables, bool is_one) {
    if (is_one) return {tables};
    Items items;
    for (const auto& table : tables.tables) items.push_back(Tables{{table}});
    return items;
}

Items jfif() { return {MarkerSegment{APP0, {'J', 'F', 'I', 'F', 0, 1, 1, 0, 0, 1, 0, 1, 0, 0}}}; }
Items adobe(uint8_t transform) { return {MarkerSegment{APP14, {'A', 'd', 'o', 'b', 'e', 0, 100, 0, 0, 0, 0, transform}}}; }

Items quantisation(const Coefficients& image, bool is_one) {
    QuantisationTables tables;
    for (int k = 0; k < slots(image); k++) {
        const Steps& steps = image.components[size_t(k)].steps;
        tables.tables.push_back({uint8_t(k | (std::ranges::max(steps) > UINT8_MAX ? 16 : 0)), steps});
    }
    return segments(tables, is_one);
}

Items huffman(const Coefficients& image, bool is_optimal, bool is_one) {
    HuffmanTables tables;
    for (uint8_t k = 0; k < slots(image); k++)
        for (const TableClass kind : {DC_TABLE, AC_TABLE})
            tables.tables.push_back({kind, k, is_optimal ? CodeSource::OPTIMAL : k ? CodeSource::STANDARD_CHROMA : CodeSource::STANDARD_LUMA, {}});
    return segments(tables, is_one);
}

Items frame(const Coefficients& image, uint8_t marker) {
    static const char* const IDS[] = {"\1\2\3\4", "\1\2\3\4", "RGB", "CMYK", "CMYK", "\1\2\3\4"};
    FrameHeader header{marker, {}};
    for (size_t k = 0; k < image.components.size(); k++) header.components.push_back({uint8_t(IDS[size_t(image.colour)][k]), slot(image, k)});
    return {header};
}

Items sequential(const Coefficients& image) {
    Scan scan;
    for (size_t k = 0; k < image.components.size(); k++) scan.components.push_back({uint8_t(k), {slot(image, k), slot(image, k)}});
    return {scan};
}

// Scans of a progressive file, each after the optimal tables that it uses.
class Script {
  public:
    explicit Script(const Coefficients& image) : image_(image) {}

    Items simple() {
        means(0, 1);
        if (image_.colour == JpegColour::YCBCR) {
            values(0, 1, 5, 0, 2);
            values(2, 1, AC_END, 0, 1), values(1, 1, AC_END, 0, 1);
            values(0, 6, AC_END, 0, 2), values(0, 1, AC_END, 2, 1);
            means(1, 0);
            for (const size_t k : {2, 1, 0}) values(k, 1, AC_END, 1, 0);
        } else {
            all(1, 5, 0, 2), all(6, AC_END, 0, 2), all(1, AC_END, 2, 1);
            means(1, 0);
            all(1, AC_END, 1, 0);
        }
        return std::move(items_);
    }

  private:
    void table(TableClass kind, uint8_t slot) { items_.push_back(HuffmanTables{{{kind, slot, CodeSource::OPTIMAL, {}}}}); }

    void means(uint8_t high, uint8_t low) {
        Scan scan{{}, 0, 0, high, low, {}};
        for (size_t k = 0; k < image_.components.size(); k++) scan.components.push_back({uint8_t(k), {uint8_t(high ? 0 : slot(image_, k)), 0}});
        for (int k = 0; !high && k < slots(image_); k++) table(DC_TABLE, uint8_t(k));
        items_.push_back(scan);
    }

    void values(size_t component, uint8_t first, uint8_t last, uint8_t high, uint8_t low) {
        const uint8_t number = slot(image_, component);
        table(AC_TABLE, number);
        items_.push_back(Scan{{{uint8_t(component), {0, number}}}, first, last, high, low, {}});
    }

    void all(uint8_t first, uint8_t last, uint8_t high, uint8_t low) {
        for (size_t k = 0; k < image_.components.size(); k++) values(k, first, last, high, low);
    }

    const Coefficients& image_;
    Items items_;
};

Items joined(std::initializer_list<Items> lists) {
    Items items;
    for (const Items& list : lists) items.insert(items.end(), list.begin(), list.end());
    return items;
}

}  // namespace

std::vector<Item> usual_items(const Coefficients& image, int number) {
    const auto whole = [&](uint8_t marker, const Items& scans) { return joined({jfif(), quantisation(image, false), frame(image, marker), scans, {EndOfImage{}}}); };
    const auto list = [&](bool is_optimal) { return joined({huffman(image, is_optimal, false), sequential(image)}); };
    switch (number) {
        case 0: return whole(SOF_BASELINE, list(false));
        case 1: return whole(SOF_BASELINE, list(true));
        case 2: return whole(SOF_PROGRESSIVE, Script(image).simple());
        case 3: return joined({Script(image).simple(), {EndOfImage{}}});
        case 4: return joined({sequential(image), {EndOfImage{}}});
        case 5: return jfif();
        case 6: return quantisation(image, true);
        case 7: return quantisation(image, false);
        case 8: return frame(image, SOF_BASELINE);
        case 9: return frame(image, SOF_PROGRESSIVE);
        case 10: return huffman(image, false, true);
        case 11: return huffman(image, false, false);
        default: return huffman(image, true, false);
    }
}

std::vector<Item> baseline_items(const Coefficients& image) {
    Items items = image.colour == JpegColour::GREY || image.colour == JpegColour::YCBCR ? jfif() : Items{};
    if (image.colour == JpegColour::RGB || image.colour == JpegColour::ADOBE_CMYK) items = adobe(0);
    if (image.colour == JpegColour::YCCK) items = adobe(2);
    return joined({items, quantisation(image, true), frame(image, SOF_BASELINE), huffman(image, false, true), sequential(image), {EndOfImage{}}});
}

}  // namespace ddpm
