import RKLLMEngine

/// The worker's command line: `apus-worker --link-descriptor 3 --parent PID`, and what its supervisor watches it with.
struct WorkerArguments: Sendable, Equatable {
    let linkDescriptor: Int32
    let parentProcessID: Int32
    /// Memory in which the worker says what it does; nil where nobody reads it.
    var progressDescriptor: Int32?
    /// Where the stacks go when it crashes.
    var crashDescriptor: Int32?
    var confinement = Confinement.Mode.best
    /// Private memory that the worker may have; nil for what the machine has left.
    var memoryBytes: UInt64?
    /// Takes the memory of the whole KV cache at the load, not only that of one sequence.
    var commitsWholeCache = false
    /// The Rockchip runtime's library, whose model it will run; nil for the native engine.
    var runtime: RuntimeChoice?

    struct UsageError: Error, Equatable, CustomStringConvertible {
        let description: String
    }

    static let usage = """
        usage: apus-worker --link-descriptor N --parent PID [--progress-descriptor N] [--crash-descriptor N]
                           [--confinement MODE] [--memory BYTES] [--cache context|all]
                           [--rkllm-runtime PATH [--rkllm-release auto|1.1|1.2.0|1.2|1.3]]
               apus-worker --confinement-check [MODE]

        Runs one model for an apus process, which starts it. The link is a connected socket; PID is the process that
        started it and with which it ends. The other descriptors are a memory file of one page, in which it says what it
        does, and a pipe for the stacks of its threads if it crashes. MODE says how the worker is confined: best (as far
        as the kernel can), required (completely, or it does not start), off. BYTES limits its private memory. The cache
        of one context, or all of it, is taken from the system when the model is loaded. With the library of the Rockchip
        NPU runtime, the model is one of that runtime's.

        The second form tries what a confined worker may not do, and says what came of it.

        """

    private static let flags: Set<String> = [
        "--link-descriptor", "--parent", "--progress-descriptor", "--crash-descriptor", "--confinement", "--memory",
        "--cache", "--rkllm-runtime", "--rkllm-release",
    ]

    /// - Parameter arguments: without the program's name.
    static func parse(_ arguments: [String]) throws(UsageError) -> WorkerArguments {
        var values: [String: String] = [:]
        var rest = arguments[...]
        while let flag = rest.popFirst() {
            guard flags.contains(flag) else { throw UsageError(description: "unknown argument \(flag)") }
            guard values.updateValue(rest.popFirst() ?? "", forKey: flag) == nil else {
                throw UsageError(description: "\(flag) is given twice")
            }
        }
        guard let descriptor: Int32 = try number("--link-descriptor", in: values) else {
            throw UsageError(description: "--link-descriptor is missing")
        }
        guard let parent: Int32 = try number("--parent", in: values), parent > 0 else {
            throw UsageError(description: "--parent is missing")
        }
        return WorkerArguments(
            linkDescriptor: descriptor, parentProcessID: parent,
            progressDescriptor: try number("--progress-descriptor", in: values),
            crashDescriptor: try number("--crash-descriptor", in: values),
            confinement: try values["--confinement"].map(mode) ?? .best,
            memoryBytes: try number("--memory", in: values),
            commitsWholeCache: try commitsWholeCache(values["--cache"] ?? "context"), runtime: try runtime(values)
        )
    }

    private static func number<Number: FixedWidthInteger>(
        _ flag: String, in values: [String: String]
    ) throws(UsageError) -> Number? {
        guard let text = values[flag] else { return nil }
        guard let value = Number(text), value >= 0 else { throw UsageError(description: "\(flag) needs a number") }
        return value
    }

    private static func commitsWholeCache(_ word: String) throws(UsageError) -> Bool {
        guard word == "context" || word == "all" else { throw UsageError(description: "--cache needs context or all") }
        return word == "all"
    }

    private static func runtime(_ values: [String: String]) throws(UsageError) -> RuntimeChoice? {
        guard let path = values["--rkllm-runtime"] else {
            guard values["--rkllm-release"] == nil else {
                throw UsageError(description: "--rkllm-release needs --rkllm-runtime")
            }
            return nil
        }
        guard !path.isEmpty else { throw UsageError(description: "--rkllm-runtime needs a path") }
        let word = values["--rkllm-release"] ?? "auto"
        let family = RuntimeFamily(rawValue: word)
        guard word == "auto" || family != nil else {
            let words = RuntimeFamily.allCases.map(\.rawValue).joined(separator: ", ")
            throw UsageError(description: "the release is '\(word)'; allowed is one of auto, \(words)")
        }
        return RuntimeChoice(path: path, family: family)
    }

    static func mode(_ word: String) throws(UsageError) -> Confinement.Mode {
        guard let mode = Confinement.Mode(rawValue: word) else {
            let words = Confinement.Mode.allCases.map(\.rawValue).joined(separator: ", ")
            throw UsageError(description: "the confinement is '\(word)'; allowed is one of \(words)")
        }
        return mode
    }
}
