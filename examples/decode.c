/* Decodes a .ddpm file that arrives: decode MODEL.safetensors < IN.ddpm > OUT.ppm (OUT.pgm of a grey image)
 *
 *     cc -std=c99 decode.c $(pkg-config --cflags --libs ddpm) -o decode */
#include <ddpm.h>
#include <stdio.h>
#include <stdlib.h>

static void fail(const char* message) {
    fprintf(stderr, "decode: %s\n", message);
    exit(1);
}

int main(int count, char** arguments) {
    static unsigned char bytes[1 << 24]; /* a model takes some millions */
    char message[256];
    ddpm_decoder* decoder = ddpm_decoder_new();
    ddpm_model* model = NULL;
    ddpm_layout layout = {sizeof layout, 0, 0, 0, 0, 0};
    ddpm_event event;
    FILE* file = count == 2 ? fopen(arguments[1], "rb") : NULL;
    if (!decoder || !file) fail("usage: decode MODEL.safetensors < IN.ddpm > OUT.ppm");
    if (ddpm_model_load(&model, bytes, fread(bytes, 1, sizeof bytes, file), message, sizeof message)) fail(message);
    while ((event = ddpm_decoder_advance(decoder, DDPM_FOREVER)) != DDPM_DONE) {
        const size_t size = event == DDPM_NEED_BYTES ? fread(bytes, 1, 1 << 16, stdin) : 0;
        ddpm_error error = DDPM_OK;
        if (event == DDPM_NEED_BYTES) error = size ? ddpm_decoder_feed(decoder, bytes, size) : ddpm_decoder_finish(decoder);
        if (event == DDPM_NEED_MODEL) error = ddpm_decoder_set_model(decoder, model);
        if (event == DDPM_NEED_PIXELS) fail("the file holds a JPEG file, which another library decodes");
        if (event == DDPM_ERROR || error) fail(ddpm_decoder_error(decoder, NULL));
    }
    if (ddpm_decoder_layout(decoder, &layout) || layout.channels % 2 == 0) fail("PPM files have no alpha");
    unsigned char* pixels = malloc(layout.size);
    if (!pixels || ddpm_decoder_pixels(decoder, pixels, layout.size, 0)) fail("memory is exhausted");
    printf("P%d\n%u %u\n255\n", layout.channels == 3 ? 6 : 5, (unsigned)layout.width, (unsigned)layout.height);
    if (fwrite(pixels, 1, layout.size, stdout) != layout.size || fflush(stdout)) fail("the output cannot be written");
    free(pixels), fclose(file);
    ddpm_model_free(model), ddpm_decoder_free(decoder);
    return 0;
}
