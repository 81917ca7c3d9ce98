#include "CDemoModel.h"

_Alignas(64) const unsigned char apus_demo_model[] = {
#embed "apus-demo.gguf"
};

const size_t apus_demo_model_size = sizeof apus_demo_model;
