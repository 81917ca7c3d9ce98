public import Foundation

/// Finds the fixtures folder: `APUS_FIXTURES`, else `../shared/fixtures` beside the package.
public enum Fixtures {
    /// Root of this package, found from the place of this source file.
    public static let packageRoot = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    public static let root: URL? = {
        let environment = ProcessInfo.processInfo.environment["APUS_FIXTURES"]
        let folder =
            environment.map { URL(fileURLWithPath: $0) }
            ?? packageRoot.deletingLastPathComponent().appendingPathComponent("shared/fixtures")
        return FileManager.default.fileExists(atPath: folder.path) ? folder : nil
    }()

    /// True when the fixtures folder holds `path`: for `.enabled(if:)`, so that a missing folder is reported as a skip.
    public static func has(_ path: String) -> Bool {
        root.map { FileManager.default.fileExists(atPath: $0.appendingPathComponent(path).path) } ?? false
    }

    public static func url(_ path: String) throws -> URL {
        guard let root else { throw MissingFixture(path: path) }
        return root.appendingPathComponent(path)
    }

    public static func bytes(_ path: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: url(path)))
    }
}

public struct MissingFixture: Error, CustomStringConvertible {
    public let path: String
    public init(path: String) { self.path = path }
    public var description: String { "fixture \(path) is not here: set APUS_FIXTURES" }
}
