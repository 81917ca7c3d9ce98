#define RKLLM_ABI 130
#include "family.inc"
