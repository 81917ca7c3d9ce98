// PCRE2 names its functions by the width of a code unit: 8 bits, for UTF-8.
#pragma once
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
