/* Decodes a .ddpm file to a PPM or PGM file: decode IN.ddpm MODEL.safetensors OUT.ppm
 *
 *     cc -std=c99 decode.c $(pkg-config --cflags --libs ddpm) -o decode */
#include <ddpm.h>
#include <stdio.h>
#include <stdlib.h>

static void fail(const char* message) {
    fprintf(stderr, "decode: %s\n", message);
    exit(1);
}

/* Returns the bytes of a file, which the caller frees. */
static void* read_file(const char* name, size_t* size) {
    FILE* file = fopen(name, "rb");
    char* data = NULL;
    *size = 0;
    if (!file) fail("an input cannot be opened");
    while (!feof(file)) {
        data = realloc(data, *size + 65536);
        if (!data) fail("memory is exhausted");
        *size += fread(data + *size, 1, 65536, file);
        if (ferror(file)) fail("an input cannot be read");
    }
    fclose(file);
    return data;
}

static void set_model(ddpm_decoder* decoder, const char* name) {
    ddpm_model* model;
    char message[256];
    size_t size;
    void* data = read_file(name, &size);
    if (ddpm_model_load(&model, data, size, message, sizeof message)) fail(message);
    if (ddpm_decoder_set_model(decoder, model)) fail(ddpm_decoder_error(decoder, NULL));
    ddpm_model_free(model);
    free(data);
}

static void write_pixels(ddpm_decoder* decoder, const char* name) {
    ddpm_layout layout = {0};
    unsigned char* pixels;
    FILE* file;
    layout.struct_size = sizeof layout;
    if (ddpm_decoder_layout(decoder, &layout)) fail(ddpm_decoder_error(decoder, NULL));
    if (layout.channels % 2 == 0) fail("the image has alpha, which PPM files do not have");
    pixels = malloc(layout.size);
    if (!pixels || ddpm_decoder_pixels(decoder, pixels, layout.size, 0)) fail("memory is exhausted");
    file = fopen(name, "wb");
    if (!file) fail("the output cannot be opened");
    fprintf(file, "P%d\n%u %u\n255\n", layout.channels == 3 ? 6 : 5, (unsigned)layout.width, (unsigned)layout.height);
    if (fwrite(pixels, 1, layout.size, file) != layout.size || fclose(file)) fail("the output cannot be written");
    free(pixels);
}

int main(int count, char** arguments) {
    ddpm_decoder* decoder = ddpm_decoder_new();
    ddpm_event event;
    size_t size;
    void* data;
    if (count != 4) fail("usage: decode IN.ddpm MODEL.safetensors OUT.ppm");
    if (!decoder) fail("memory is exhausted");
    data = read_file(arguments[1], &size);
    if (ddpm_decoder_feed(decoder, data, size) || ddpm_decoder_finish(decoder)) fail(ddpm_decoder_error(decoder, NULL));
    free(data);
    while ((event = ddpm_decoder_advance(decoder, DDPM_FOREVER)) != DDPM_DONE) {
        if (event == DDPM_ERROR) fail(ddpm_decoder_error(decoder, NULL));
        if (event == DDPM_NEED_MODEL) set_model(decoder, arguments[2]);
        if (event == DDPM_NEED_PIXELS) fail("the file stores a WebP or JPEG file");
    }
    write_pixels(decoder, arguments[3]);
    ddpm_decoder_free(decoder);
    return 0;
}
