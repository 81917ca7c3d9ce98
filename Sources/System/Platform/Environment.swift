import CPlatform
import Glibc

/// The environment variables of this process.
public enum Environment {
    public static func value(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }

    /// Takes a variable away from this process and its children; before any other thread runs.
    public static func remove(_ name: String) { unsetenv(name) }

    public static var all: [String: String] {
        var found: [String: String] = [:]
        for entry in entries {
            guard let equals = entry.firstIndex(of: "=") else { continue }
            found[String(entry[..<equals])] = String(entry[entry.index(after: equals)...])
        }
        return found
    }

    /// The variables as `NAME=value`: what a child process is given.
    public static var entries: [String] {
        guard var next = apus_environment() else { return [] }
        var found: [String] = []
        while let entry = next.pointee {
            found.append(String(cString: entry))
            next += 1
        }
        return found
    }
}

/// The program file that this process runs.
public enum ExecutablePath {
    public static func current() -> String {
        let link = "/proc/self/exe"
        return linkTarget(link) ?? link
    }

    /// The library that a function was loaded from, or the program if it is part of that.
    public static func ofLibrary(with function: @convention(c) () -> Void) -> String? {
        apus_code_path(unsafeBitCast(function, to: UnsafeRawPointer.self)).map { String(cString: $0) }
    }
}

/// What a symbolic link says; nil for anything else.
func linkTarget(_ link: String) -> String? {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(PATH_MAX)) { buffer in
        guard let start = buffer.baseAddress else { return nil }
        let count = readlink(link, start, buffer.count)
        guard count > 0 else { return nil }
        return String(decoding: UnsafeRawBufferPointer(start: start, count: count), as: UTF8.self)
    }
}
