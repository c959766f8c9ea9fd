#include "image_decoder.h"

#include "canvas.h"

namespace ddpm {

Picture shrunk(Picture picture, int scale) {
    if (scale == 1) return picture;
    picture.mode = picture.mode == Mode::BILEVEL ? Mode::L : picture.mode;
    picture.width = (picture.width + scale - 1) / scale;
    picture.height = (picture.height + scale - 1) / scale;
    return picture;
}

Picture reduced(Picture picture, int scale) {
    if (scale > 1) picture.colour = box_means(picture.colour, picture.height, picture.width, channels_of(picture.mode), scale, picture.alpha);
    return shrunk(std::move(picture), scale);
}

}  // namespace ddpm
