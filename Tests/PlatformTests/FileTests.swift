import Foundation
import Platform
import Testing

/// A folder that goes away with the object.
final class TemporaryFolder {
    private let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory.appendingPathComponent("apus-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    func path(_ name: String) -> String { url.appendingPathComponent(name).path }

    func write(_ name: String, _ bytes: [UInt8]) throws -> String {
        try Data(bytes).write(to: url.appendingPathComponent(name))
        return path(name)
    }
}

@Suite(.timeLimit(.minutes(10))) struct FileTests {
    @Test func onlyRegularFilesAreOpened() throws {
        let folder = try TemporaryFolder()
        let fifo = folder.path("fifo")
        #expect(mkfifo(fifo, 0o600) == 0)
        let refused = [
            (fifo, EINVAL), (folder.path(""), EISDIR), ("/dev/null", EINVAL), (folder.path("absent"), ENOENT),
            ("a\0b", EINVAL),
        ]
        for (path, code) in refused {
            let error = #expect(throws: SystemError.self) { _ = try FileDescriptor.openForReading(path: path) }
            #expect(error?.code == code, "\(path)")
        }
        let file = try FileDescriptor.openForReading(path: folder.write("file", [1, 2, 3]))
        #expect(try file.fileSize() == 3)
        #expect(fcntl(file.rawValue, F_GETFD) & FD_CLOEXEC != 0)
    }

    @Test func aFolderGivesOutFilesByNameAndReplacesThemAsAWhole() throws {
        let temporary = try TemporaryFolder()
        _ = try temporary.write("outside", [9])
        #expect(mkdir(temporary.path("inner"), 0o700) == 0)
        let folder = try FileFolder(path: temporary.path("inner"))
        for name in ["", ".", "..", "../outside", "a/b", ".hidden", "a\0b", "a\nb", String(repeating: "x", count: 201)]
        {
            #expect(!FileFolder.isName(name))
            #expect(throws: SystemError.self, "\(name)") { _ = try folder.open(name) }
            #expect(throws: SystemError.self, "\(name)") { _ = try folder.replace(name) }
        }
        #expect(symlink(temporary.path("outside"), temporary.path("inner/link")) == 0)
        let link = #expect(throws: SystemError.self) { _ = try folder.open("link") }
        #expect(link?.code == ELOOP)
        #expect(mkfifo(temporary.path("inner/fifo"), 0o600) == 0)
        #expect(throws: SystemError.self) { _ = try folder.open("fifo") }
        do {
            let abandoned = try folder.replace("link")
            _ = try abandoned.duplicate()
        }
        let whole = try folder.replace("link")
        let writer = try whole.duplicate()
        #expect(write(writer.rawValue, "abc", 3) == 3)
        #expect(throws: SystemError.self, "not before it is whole") { _ = try folder.open("link") }
        try whole.commit()
        #expect(try folder.open("link").fileSize() == 3)
        #expect(
            try SmallFile.read(path: temporary.path("outside"), limit: 9) == [9], "the link was replaced, not followed")
        let names = try #require(opendir(temporary.path("inner")))
        var count = 0
        while readdir(names) != nil { count += 1 }
        closedir(names)
        #expect(count == 4, "nothing but ., .., fifo and link")
    }

    @Test func aDescriptorClosesWithItsOwnerUnlessItIsReleased() throws {
        let pair = try Socket.pair()
        let far = pair.second.release()
        let near = pair.first.release()
        var byte: UInt8 = 0
        do {
            let owner = FileDescriptor(owning: near)
            let copy = try owner.duplicate()
            #expect(copy.rawValue != owner.rawValue)
            #expect(read(far, &byte, 1) == -1)
        }
        // Both are closed now: the other end sees it.
        #expect(read(far, &byte, 1) == 0)
        close(far)
    }

    @Test func aSealedMemoryFileCannotChange() throws {
        let bytes = [UInt8](repeating: 7, count: 100_000)
        let sealed = try bytes.withUnsafeBytes {
            try FileDescriptor.memory(name: "s", bytes: $0, sealed: true).release()
        }
        defer { close(sealed) }
        #expect(write(sealed, "x", 1) == -1)
        #expect(ftruncate(sealed, 1) == -1)
        #expect(try MappedFile(descriptor: sealed).withBytes { Array($0) } == bytes)
        let open = try bytes.withUnsafeBytes {
            try FileDescriptor.memory(name: "o", bytes: $0, sealed: false).release()
        }
        defer { close(open) }
        #expect(ftruncate(open, 1) == 0)
    }

    @Test func sealsAreAddedAndReadAndOnlyMemoryFilesHaveThem() throws {
        let file = try FileDescriptor.sealableMemory(name: "test", byteCount: 8192)
        #expect(try file.fileSize() == 8192)
        #expect(try file.seals() == [])
        try file.add([.shrink, .grow])
        #expect(try file.seals() == [.shrink, .grow])
        #expect(ftruncate(file.rawValue, 0) == -1)
        try file.add([.futureWrite, .seals])
        #expect(try file.seals() == [.shrink, .grow, .futureWrite, .seals])
        #expect(throws: SystemError.self) { try file.add(.write) }
        let pair = try Socket.pair()
        #expect(throws: SystemError.self) { _ = try pair.first.seals() }
    }

    @Test func anEmptyFileMapsToNothingAndASocketDoesNotMap() throws {
        let folder = try TemporaryFolder()
        let empty = try FileDescriptor.openForReading(path: folder.write("empty", []))
        #expect(try MappedFile(descriptor: empty.rawValue).withBytes { $0.isEmpty })
        let pair = try Socket.pair()
        let near = pair.first.rawValue
        #expect(throws: SystemError.self) { try MappedFile(descriptor: near) }
        #expect(throws: SystemError.self) { try MappedFile(descriptor: -1) }
    }

    @Test(arguments: [0, 1, 4095, 4096, 4097, 100_000])
    func aSmallFileIsReadUpToItsLimit(count: Int) throws {
        let folder = try TemporaryFolder()
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
        let path = try folder.write("file", bytes)
        #expect(try SmallFile.read(path: path, limit: count) == bytes)
        #expect(try SmallFile.read(path: path, limit: count + 1) == bytes)
        if count > 0 {
            let error = #expect(throws: SystemError.self) { try SmallFile.read(path: path, limit: count - 1) }
            #expect(error?.code == EFBIG)
        }
    }

    @Test func writingAllWaitsForASlowReader() throws {
        let pair = try Socket.pair()
        let near = pair.first.release()
        let far = pair.second.release()
        defer { close(far) }
        let bytes = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let writer = try Thread.start(name: "writer") {
            try? StandardIO.writeAll(near, bytes)
            close(near)
        }
        let got = try StandardIO.readAll(far, limit: 2_000_000)
        writer.join()
        #expect(got == bytes)
        #expect(!StandardIO.isTerminal(far))
        #expect(StandardIO.terminalWidth(far) == nil)
    }
}
