// The files of models, for commands.
#pragma once
#include <filesystem>
#include <memory>
#include <string>

#include "ddpm.h"

using LoadedModel = std::unique_ptr<ddpm_model, decltype(&ddpm_model_free)>;

// Throws Failure (NO_MODEL).
LoadedModel load_model(const std::filesystem::path& path);

// The file of an embedded model. folder: empty: $DDPM_MODELS, or share/ddpm/models of the installation that this command is of. name: a
// ddpm_model_name. need: what messages begin with, as "is coded by". Throws Failure (NO_MODEL).
std::filesystem::path embedded_model(const std::string& folder, const std::string& name, const std::string& need);
