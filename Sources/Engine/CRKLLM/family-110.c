#define RKLLM_ABI 110
#include "family.inc"
