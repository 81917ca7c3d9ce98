/// The worker's command line: `apus-worker --link-descriptor 3 --parent PID`, and what its supervisor watches it with.
struct WorkerArguments: Sendable, Equatable {
    let linkDescriptor: Int32
    let parentProcessID: Int32
    /// Memory in which the worker says what it does; nil where nobody reads it.
    var progressDescriptor: Int32?
    /// Where the stacks go when it crashes.
    var crashDescriptor: Int32?

    struct UsageError: Error, Equatable, CustomStringConvertible {
        let description: String
    }

    static let usage = """
        usage: apus-worker --link-descriptor N --parent PID [--progress-descriptor N] [--crash-descriptor N]

        Runs one model for an apus process, which starts it. The link is a connected socket; PID is the process that
        started it and with which it ends. The others are a memory file of one page, in which it says what it does,
        and a pipe for the stacks of its threads if it crashes.

        """

    private static let flags = ["--link-descriptor", "--parent", "--progress-descriptor", "--crash-descriptor"]

    /// - Parameter arguments: without the program's name.
    static func parse(_ arguments: [String]) throws(UsageError) -> WorkerArguments {
        var values: [String: Int32] = [:]
        var rest = arguments[...]
        while let flag = rest.popFirst() {
            guard flags.contains(flag) else { throw UsageError(description: "unknown argument \(flag)") }
            guard let text = rest.popFirst(), let value = Int32(text), value >= 0 else {
                throw UsageError(description: "\(flag) needs a number")
            }
            guard values.updateValue(value, forKey: flag) == nil else {
                throw UsageError(description: "\(flag) is given twice")
            }
        }
        guard let descriptor = values["--link-descriptor"] else {
            throw UsageError(description: "--link-descriptor is missing")
        }
        guard let parent = values["--parent"], parent > 0 else { throw UsageError(description: "--parent is missing") }
        return WorkerArguments(
            linkDescriptor: descriptor, parentProcessID: parent, progressDescriptor: values["--progress-descriptor"],
            crashDescriptor: values["--crash-descriptor"])
    }
}
