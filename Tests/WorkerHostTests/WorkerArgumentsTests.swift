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
