#define RKLLM_ABI 120
#include "family.inc"
