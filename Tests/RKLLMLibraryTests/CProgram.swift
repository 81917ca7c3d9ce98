import Foundation
import TestSupport

/// A program in C that was compiled against the header and the library of one family, as its users would do it.
struct CProgram {
    /// Of the interface, as its header is called.
    static let families = ["12", "13"]

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    let path: String
    /// Where its library is, under the name that programs know.
    let folder: URL

    private static let lock = NSLock()
    nonisolated(unsafe) private static var built: [String: CProgram] = [:]
    private static let root = FileManager.default.temporaryDirectory.appendingPathComponent("apus-rkllm-\(UUID())")

    /// - Parameter source: its path in the package.
    static func build(_ source: String, family: String, compiler: String = "clang") throws -> CProgram {
        let key = "\(source) \(family) \(compiler)"
        return try lock.withLock {
            if let program = built[key] { return program }
            let folder = root.appendingPathComponent(family)
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            let library = folder.appendingPathComponent("librkllmrt.so")
            if !FileManager.default.fileExists(atPath: library.path) {
                let from = Programs.path("librkllm-\(family.first ?? "1").\(family.last ?? "0").so")
                try FileManager.default.createSymbolicLink(atPath: library.path, withDestinationPath: from)
            }
            let path = folder.appendingPathComponent("program-\(built.count)").path
            let header = Fixtures.packageRoot.appendingPathComponent("Sources/Client/CRKLLM\(family)/include").path
            let output = try Programs.run(
                "/usr/bin/env",
                [
                    compiler, Fixtures.packageRoot.appendingPathComponent(source).path, "-std=gnu11", "-Wall",
                    "-Wextra",
                    "-Werror", "-pthread", "-I\(header)", "-L\(folder.path)", "-lrkllmrt", "-Wl,-rpath,\(folder.path)",
                    "-o", path,
                ])
            guard output.status == 0 else { throw Failure(description: output.standardError) }
            let program = CProgram(path: path, folder: folder)
            built[key] = program
            return program
        }
    }

    static func driver(_ family: String) throws -> CProgram {
        try build("Tests/RKLLMLibraryTests/Driver/driver.c", family: family)
    }

    /// Runs the driver and takes its lines apart.
    static func drive(
        _ family: String, _ words: [String], environment: [String: String] = [:]
    ) throws -> Facts {
        let output = try driver(family).run(words, environment: environment)
        guard output.status == 0 else {
            throw Failure(
                description: "\(words): status \(output.status)\n\(output.standardOutput)\(output.standardError)")
        }
        return Facts(output)
    }

    func run(_ words: [String], input: String = "", environment: [String: String] = [:]) throws -> Programs.Output {
        try Programs.run(
            path, words, input: input,
            environment: ["APUS_WORKER": Programs.path("apus-worker")].merging(environment) { $1 })
    }
}

/// What the driver printed.
struct Facts: CustomStringConvertible {
    let lines: [String]
    let standardError: String

    init(_ output: Programs.Output) {
        lines = output.standardOutput.split(separator: "\n").map(String.init)
        standardError = output.standardError
    }

    var description: String { lines.joined(separator: "\n") + "\n" + standardError }

    /// The rest of the first line that begins with a word.
    subscript(_ word: String) -> String? { all(word).first }

    func all(_ word: String) -> [String] {
        lines.filter { $0.hasPrefix(word + " ") }.map { String($0.dropFirst(word.count + 1)) }
    }

    /// The tokens that callbacks told of one input, with their texts.
    func tokens(input: Int = 0) -> [(id: Int32, text: String)] {
        (lines.compactMap { line in
            let words = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false)
            guard words.count == 4, words[0] == "normal" || words[0] == "waiting", words[1] == "\(input)",
                let id = Int32(words[2]), id >= 0
            else { return nil }
            return (
                id, words[3].replacingOccurrences(of: "\\n", with: "\n").replacingOccurrences(of: "\\\\", with: "\\")
            )
        })
    }

    /// What was said about the last refusals, without the words before it.
    var refusals: [String] {
        standardError.split(separator: "\n").filter { $0.hasPrefix("E rkllm: ") }.map { String($0.dropFirst(9)) }
    }
}
