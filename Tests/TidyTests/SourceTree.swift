import Foundation
import TestSupport

/// The files of this package, read once for the tests that look at all of them.
struct SourceFile {
    /// Relative to the package, such as `Sources/System/JSON/JSONValue.swift`.
    let path: String
    let lines: [String]

    /// The room that the file belongs to: the third part of its path, or the program's name.
    var room: String {
        let parts = path.split(separator: "/")
        return parts[0] == "Benchmarks" ? String(parts[1]) : String(parts[2])
    }
}

enum SourceTree {
    static func files(below folders: [String], endings: Set<String>) throws -> [SourceFile] {
        let root = Fixtures.packageRoot
        var found: [SourceFile] = []
        for folder in folders {
            let base = root.appendingPathComponent(folder)
            let walker = FileManager.default.enumerator(at: base, includingPropertiesForKeys: nil)
            while let url = walker?.nextObject() as? URL {
                guard endings.contains(url.pathExtension) else { continue }
                let path = String(url.path.dropFirst(root.path.count + 1))
                let text = try String(contentsOf: url, encoding: .utf8)
                found.append(SourceFile(path: path, lines: text.components(separatedBy: "\n")))
            }
        }
        return found.sorted { $0.path < $1.path }
    }
}
