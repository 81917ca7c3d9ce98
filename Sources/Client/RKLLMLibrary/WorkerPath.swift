import Glibc
import Platform

/// Finds `apus-worker`.
enum WorkerPath {
    static let variable = "APUS_WORKER"
    private static let name = "apus-worker"

    /// What the variable says; else beside this library, in the folder above it, or on PATH.
    static func find() throws(Refusal) -> String {
        if let path = Environment.value(variable) {
            guard isProgram(path) else { throw Refusal("\(variable) is '\(path)', which is no program") }
            return path
        }
        let folders = libraryFolder.map { [$0, $0 + "/.."] } ?? []
        let search = (Environment.value("PATH") ?? "").split(separator: ":").map(String.init)
        for folder in folders + search where isProgram("\(folder)/\(name)") { return "\(folder)/\(name)" }
        throw Refusal("\(name) is neither beside the library nor on PATH; \(variable) can say where it is")
    }

    private static func isProgram(_ path: String) -> Bool { access(path, X_OK) == 0 }

    private static var libraryFolder: String? {
        guard let path = ExecutablePath.ofLibrary(with: inThisLibrary) else { return nil }
        return path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    }
}

private func inThisLibrary() {}
