import Foundation

/// The stand-in for the Rockchip NPU runtime, compiled with the package's own C compiler when a test first needs it.
///
/// `Tests/FakeRKLLM/fake-rkllm.c` says what a model's file may tell it to do.
public enum FakeRuntime {
    /// A number for each family of the binary interface.
    public static let families = [110, 120, 121, 130]

    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    private static let lock = NSLock()
    nonisolated(unsafe) private static var built: [String: String] = [:]

    private static let folder: URL = {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("apus-fake-rkllm-\(UUID())")
        try? FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return folder
    }()

    /// The path of a library.
    ///
    /// - Parameters:
    ///   - banner: the release that it says it is; nil for the truth.
    ///   - isSanitized: it notices what it reads and should not, in a process that `sanitizer` was loaded into first.
    public static func library(_ family: Int, banner: String? = nil, isSanitized: Bool = false) throws -> String {
        let key = "\(family)-\(banner ?? "")\(isSanitized ? "-sanitized" : "")"
        return try lock.withLock {
            if let path = built[key] { return path }
            let path = folder.appendingPathComponent("librkllmrt-\(key).so").path
            let source = Fixtures.packageRoot.appendingPathComponent("Tests/FakeRKLLM/fake-rkllm.c").path
            let compiler = isSanitized ? ["gcc", "-g", "-fsanitize=address"] : ["clang"]
            let words = compiler + ["-shared", "-fPIC", "-O1", "-std=gnu2x", "-D_GNU_SOURCE", "-DFAKE_ABI=\(family)"]
            let told = banner.map { ["-DFAKE_BANNER=\"\($0)\""] } ?? []
            let output = try Programs.run("/usr/bin/env", words + told + [source, "-o", path])
            guard output.status == 0 else { throw Failure(description: output.standardError) }
            built[key] = path
            return path
        }
    }

    /// The address sanitizer's library, where the system's compiler has one.
    public static let sanitizer: String? = {
        guard let output = try? Programs.run("/usr/bin/env", ["gcc", "-print-file-name=libasan.so"]), output.status == 0
        else { return nil }
        let path = output.standardOutput.trimmingCharacters(in: .whitespacesAndNewlines)
        return path.hasPrefix("/") ? path : nil
    }()

    /// A model's file with instructions for the runtime, one on each line.
    public static func model(_ script: String) throws -> String {
        let file = folder.appendingPathComponent("\(UUID()).rkllm")
        try Data(script.utf8).write(to: file)
        return file.path
    }

    /// A path for what the runtime is told; nothing is there yet.
    public static func record() -> String { folder.appendingPathComponent("\(UUID()).txt").path }

    public static func lines(of record: String) -> [String] {
        let text = (try? String(contentsOfFile: record, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").map(String.init)
    }
}
