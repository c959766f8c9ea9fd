#include "ddpm_module.h"

enum { MOST_MODELS = 256, MOST_THREADS = 8 };

gboolean fail(GError** error, int code, const char* message) {
    g_set_error_literal(error, GDK_PIXBUF_ERROR, code, message);
    return FALSE;
}

guint usual_threads(void) { return MIN(g_get_num_processors(), MOST_THREADS); }

static const ddpm_model* load_model(const char* name, GError** error) {
    const char* folder = g_getenv("DDPM_MODELS");
    g_autofree char* path = g_strdup_printf("%s/%s.safetensors", folder ? folder : MODELS_FOLDER, name);
    g_autofree char* data = NULL;
    gsize size;
    char message[256];
    ddpm_model* model = NULL;
    if (!g_file_get_contents(path, &data, &size, error)) return NULL;
    if (ddpm_model_load(&model, data, size, message, sizeof message) != DDPM_OK) fail(error, GDK_PIXBUF_ERROR_FAILED, message);
    return model;
}

const ddpm_model* find_model(uint32_t number, GError** error) {
    static GMutex mutex;
    static const ddpm_model* models[MOST_MODELS];
    const char* name = number < MOST_MODELS ? ddpm_model_name(number) : NULL;
    if (!name) {
        fail(error, GDK_PIXBUF_ERROR_UNSUPPORTED_OPERATION, "The image was written with a model that is not installed");
        return NULL;
    }
    g_mutex_lock(&mutex);
    if (!models[number]) models[number] = load_model(name, error);
    const ddpm_model* model = models[number];
    g_mutex_unlock(&mutex);
    return model;
}
