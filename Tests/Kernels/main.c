// Tests of the kernels that need nothing but a C compiler, so that they also run on an emulated processor.
//
//   kernel-tests           compares the instruction sets, and prints a digest of all results
//   kernel-tests --time    measures the products
//
// The digest is the same on every machine: the law of same bits holds between processors too.

#include "support.h"
#include <stdio.h>
#include <string.h>

// Operations on single rows have no instruction sets: they only go into the digest.
void test_rows(void) {
    enum { COUNT = 203 };
    float a[COUNT], b[COUNT], c[COUNT], angles[2 * COUNT];
    seed(1);
    for (int i = 0; i < COUNT; i++) a[i] = random_float() * 20, b[i] = random_float();
    apus_rms_norm(a, b, c, COUNT, 1e-6f);
    digest_floats(c, COUNT);
    apus_add_scaled(c, a, 0.3f, COUNT);
    apus_silu_multiply(c, b, COUNT);
    digest_floats(c, COUNT);
    random_floats(angles, 2 * COUNT);
    apus_rotate(c, angles, angles + COUNT, COUNT / 2, 1);
    apus_rotate(c, angles, angles + COUNT, COUNT / 2, 0);
    apus_add(c, b, COUNT);
    digest_floats(c, COUNT);
    apus_softmax(a, COUNT);
    digest_floats(a, COUNT);
    const float product = apus_dot(b, c, COUNT);
    digest_floats(&product, 1);
}

int main(int count, char **arguments) {
    if (count == 2 && strcmp(arguments[1], "--time") == 0) {
        measure();
        return 0;
    }
    if (count != 1) {
        fprintf(stderr, "usage: %s [--time]\n", arguments[0]);
        return 2;
    }
    printf("instruction sets:");
    for (size_t i = 0; i < set_count; i++)
        if (apus_kernels_named(set_names[i])) printf(" %s", set_names[i]);
    printf("\n");
    fflush(stdout);
    test_packing();
    test_products();
    test_prepared_edges();
    test_attention();
    test_stored_edges();
    test_rows();
    printf("digest %016llx, %d failures\n", (unsigned long long)digest(), failure_count());
    return failure_count() != 0;
}
