// A chat in the terminal, written for the RKLLM runtime: the same source runs on a board with the NPU and, with the
// drop-in libraries of Apus, on any Linux computer.
//
//   demo MODEL [MAX_NEW_TOKENS [MAX_CONTEXT_LEN]]
//
// Each line of standard input is a prompt. Ctrl-C ends the answer, or, where there is none, the program.

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rkllm.h"

static LLMHandle handle;
static volatile sig_atomic_t interrupted;
static volatile sig_atomic_t answering;

static void interrupt(int number) {
    if (!answering) _Exit(128 + number);
    interrupted = 1;
}

static int take(RKLLMResult *result, void *userdata, LLMCallState state) {
    int *tokens = userdata;
    switch (state) {
    case RKLLM_RUN_NORMAL:
        printf("%s", result->text);
        fflush(stdout);
        ++*tokens;
        break;
    case RKLLM_RUN_WAITING: ++*tokens; break;
    case RKLLM_RUN_FINISH:
        printf("\n[%d tokens; prompt %d tokens in %.1f ms, answer %d tokens in %.1f ms, %.0f MB]\n", *tokens,
               result->perf.prefill_tokens, result->perf.prefill_time_ms, result->perf.generate_tokens,
               result->perf.generate_time_ms, result->perf.memory_usage_mb);
        break;
    case RKLLM_RUN_ERROR: printf("\n[error]\n"); break;
    }
    // A signal handler may not call the library; this may.
    if (interrupted) rkllm_abort(handle);
    interrupted = 0;
    return 0;
}

int main(int count, char **words) {
    if (count < 2) {
        fprintf(stderr, "usage: %s MODEL [MAX_NEW_TOKENS [MAX_CONTEXT_LEN]]\n", words[0]);
        return 2;
    }
    RKLLMParam param = rkllm_createDefaultParam();
    param.model_path = words[1];
    param.top_k = 1;
    if (count > 2) param.max_new_tokens = atoi(words[2]);
    if (count > 3) param.max_context_len = atoi(words[3]);
#if APUS_RKLLM_FAMILY == 13
    RKLLMCallback callback = {.result_callback = take};
    int code = rkllm_init(&handle, &param, &callback);
#else
    int code = rkllm_init(&handle, &param, take);
#endif
    if (code != 0) {
        fprintf(stderr, "the model does not load\n");
        return 1;
    }
    signal(SIGINT, interrupt);

    char line[4096];
    printf("you> ");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        RKLLMInput input;
        memset(&input, 0, sizeof input);
        input.role = "user";
        input.input_type = RKLLM_INPUT_PROMPT;
        input.prompt_input = line;
        RKLLMInferParam infer;
        memset(&infer, 0, sizeof infer);
        infer.mode = RKLLM_INFER_GENERATE;
        int tokens = 0;
        answering = 1;
        rkllm_run(handle, &input, &infer, &tokens);
        answering = 0;
        printf("you> ");
        fflush(stdout);
    }
    printf("\n");
    return rkllm_destroy(handle) == 0 ? 0 : 1;
}
