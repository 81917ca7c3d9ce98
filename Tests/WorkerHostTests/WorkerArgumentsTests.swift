import RKLLMEngine
import Testing

@testable import WorkerHost

@Suite struct WorkerArgumentsTests {
    @Test func `both flags are read in either order`() throws {
        let expected = WorkerArguments(linkDescriptor: 3, parentProcessID: 77)
        #expect(try WorkerArguments.parse(["--link-descriptor", "3", "--parent", "77"]) == expected)
        #expect(try WorkerArguments.parse(["--parent", "77", "--link-descriptor", "3"]) == expected)
    }

    @Test func `what a supervisor watches with may be given too`() throws {
        let arguments = [
            "--link-descriptor", "3", "--progress-descriptor", "4", "--parent", "77", "--crash-descriptor", "5",
        ]
        #expect(
            try WorkerArguments.parse(arguments)
                == WorkerArguments(
                    linkDescriptor: 3, parentProcessID: 77, progressDescriptor: 4, crashDescriptor: 5))
    }

    @Test func `the Rockchip runtime is given by its library, and its release if it is known`() throws {
        let link = ["--link-descriptor", "3", "--parent", "77"]
        let found = try WorkerArguments.parse(link + ["--rkllm-runtime", "lib.so", "--rkllm-release", "1.2"])
        #expect(found.runtime == RuntimeChoice(path: "lib.so", family: .release12))
        let searched = try WorkerArguments.parse(link + ["--rkllm-runtime", "lib.so"])
        #expect(searched.runtime == RuntimeChoice(path: "lib.so"))
        #expect(try WorkerArguments.parse(link).runtime == nil)
        for (words, message) in [
            (["--rkllm-runtime"], "--rkllm-runtime needs a path"),
            (["--rkllm-release", "1.2"], "--rkllm-release needs --rkllm-runtime"),
            (
                ["--rkllm-runtime", "lib.so", "--rkllm-release", "2"],
                "the release is '2'; allowed is one of auto, 1.1, 1.2.0, 1.2, 1.3"
            ),
        ] {
            #expect(throws: WorkerArguments.UsageError(description: message)) {
                _ = try WorkerArguments.parse(link + words)
            }
        }
    }

    @Test(arguments: [
        ([], "--link-descriptor is missing"), (["--link-descriptor", "3"], "--parent is missing"),
        (["--link-descriptor", "x", "--parent", "1"], "--link-descriptor needs a number"),
        (["--link-descriptor"], "--link-descriptor needs a number"),
        (["--parent", "1", "--parent", "1"], "--parent is given twice"),
        (["--link-descriptor", "-1"], "--link-descriptor needs a number"),
        (["model.gguf"], "unknown argument model.gguf"),
    ])
    func `a wrong command line says what is wrong`(arguments: [String], message: String) {
        #expect(throws: WorkerArguments.UsageError(description: message)) {
            _ = try WorkerArguments.parse(arguments)
        }
    }
}
