#define RKLLM_ABI 121
#include "family.inc"
