/* Encodes a camera's JPEG file, and checks that the .ddpm file restores it: encode FOLDER-OF-MODELS IN.jpg OUT.ddpm
 *
 *     cc -std=c99 encode.c $(pkg-config --cflags --libs ddpm) -o encode */
#include <ddpm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char* message) {
    fprintf(stderr, "encode: %s\n", message);
    exit(1);
}

static unsigned char* read_file(const char* path, size_t* size) {
    FILE* file = fopen(path, "rb");
    unsigned char* data;
    if (!file || fseek(file, 0, SEEK_END)) fail("a file cannot be read");
    *size = (size_t)ftell(file), rewind(file);
    data = malloc(*size + 1);
    if (!data || fread(data, 1, *size, file) != *size || fclose(file)) fail("a file cannot be read");
    return data;
}

static ddpm_model* load(const char* folder, uint32_t number) {
    char path[4096], message[256];
    size_t size;
    ddpm_model* model;
    unsigned char* data;
    snprintf(path, sizeof path, "%s/%s.safetensors", folder, ddpm_model_name(number));
    data = read_file(path, &size);
    if (ddpm_model_load(&model, data, size, message, sizeof message)) fail(message);
    free(data);
    return model;
}

int main(int count, char** arguments) {
    ddpm_encoder* encoder = ddpm_encoder_new();
    ddpm_decoder* decoder = ddpm_decoder_new();
    ddpm_encode_options options = {0};
    ddpm_model* model = NULL;
    const uint8_t *file, *restored;
    size_t jpeg_size, file_size, restored_size;
    unsigned char* jpeg;
    ddpm_event event;
    FILE* out;
    if (count != 4 || !encoder || !decoder) fail("usage: encode FOLDER-OF-MODELS IN.jpg OUT.ddpm");

    jpeg = read_file(arguments[2], &jpeg_size);
    options.struct_size = sizeof options, options.threads = 2;
    if (ddpm_encoder_set_options(encoder, &options) || ddpm_encoder_set_file(encoder, jpeg, jpeg_size)) fail(ddpm_encoder_error(encoder, NULL));
    while ((event = ddpm_encoder_advance(encoder, 0.5)) != DDPM_DONE) {
        if (event == DDPM_ERROR) fail(ddpm_encoder_error(encoder, NULL));
        if (event == DDPM_MORE) fprintf(stderr, "%3.0f%%\n", 100 * ddpm_encoder_progress(encoder));
        if (event == DDPM_NEED_MODEL) {
            model = load(arguments[1], ddpm_encoder_model_number(encoder));
            if (ddpm_encoder_set_model(encoder, model)) fail(ddpm_encoder_error(encoder, NULL));
        }
    }
    ddpm_encoder_file(encoder, &file, &file_size);

    /* The encoder has decoded it already. This is how everyone else does. */
    ddpm_decoder_feed(decoder, file, file_size), ddpm_decoder_finish(decoder);
    while ((event = ddpm_decoder_advance(decoder, DDPM_FOREVER)) != DDPM_NEED_PIXELS && event != DDPM_DONE)
        if (event != DDPM_NEED_MODEL || ddpm_decoder_set_model(decoder, model)) fail(ddpm_decoder_error(decoder, NULL));
    if (ddpm_decoder_section(decoder, DDPM_SECTION_PAYLOAD, &restored, &restored_size)) fail(ddpm_decoder_error(decoder, NULL));
    if (restored_size != jpeg_size || memcmp(restored, jpeg, jpeg_size)) fail("the file does not restore the JPEG file");

    out = fopen(arguments[3], "wb");
    if (!out || fwrite(file, 1, file_size, out) != file_size || fclose(out)) fail("the output cannot be written");
    printf("%lu bytes instead of %lu\n", (unsigned long)file_size, (unsigned long)jpeg_size);
    ddpm_encoder_free(encoder), ddpm_decoder_free(decoder), ddpm_model_free(model), free(jpeg);
    return 0;
}
