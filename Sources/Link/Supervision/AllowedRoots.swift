import Glibc
import Platform

/// The folders below which a model must lie whose path a client names, not the operator.
///
/// The check looks at the file that was opened, not at the words that led to it. So neither `..` nor a symbolic link
/// leads out of a folder, and exchanging the file between check and use achieves nothing.
public struct AllowedRoots: Sendable, Equatable {
    private let folders: [String]

    /// - Parameter folders: as the configuration names them; none of them allows nothing.
    public init(folders: [String]) { self.folders = folders }

    /// Whether the file behind an open descriptor lies below one of the folders.
    func contain(_ descriptor: borrowing FileDescriptor) -> Bool {
        guard let place = descriptor.path() else { return false }
        // A folder is looked up each time: it may be a link, or a disk that is mounted later.
        return folders.contains { folder in Self.realPath(folder).map { Self.isBelow($0, place) } ?? false }
    }

    /// Whether the words of a path stay below one of the folders.
    ///
    /// This decides which error a path gets that cannot be opened: whether a file exists elsewhere is not told.
    func containWords(of path: String) -> Bool {
        !path.split(separator: "/").contains("..") && folders.contains { Self.isBelow($0, path) }
    }

    static func isBelow(_ folder: String, _ path: String) -> Bool {
        path.hasPrefix(folder.hasSuffix("/") ? folder : folder + "/")
    }

    private static func realPath(_ path: String) -> String? {
        guard !path.utf8.contains(0), let found = realpath(path, nil) else { return nil }
        defer { free(found) }
        return String(cString: found)
    }
}
