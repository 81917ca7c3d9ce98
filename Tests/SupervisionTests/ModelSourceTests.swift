import EngineProtocol
import Foundation
import Testing

@testable import Supervision

@Suite("Model source") struct ModelSourceTests {
    @Test("any part of a split names all of them")
    func parts() throws {
        let all = ["/m/a-b-00001-of-00003.gguf", "/m/a-b-00002-of-00003.gguf", "/m/a-b-00003-of-00003.gguf"]
        for part in all { #expect(try ModelSource.parts(of: part) == all) }
    }

    static let single = [
        "/m/model.gguf", "/m/model-1-of-3.gguf", "/m/model-00004-of-00003.gguf", "/m/model-00000-of-00003.gguf",
        "/m/00001-of-00003.gguf", "/m/model-00001-of-00003", "/m/model-0000a-of-00003.gguf", "of-00002.gguf", "",
    ]

    @Test("everything else is one file", arguments: single)
    func whole(path: String) throws {
        #expect(try ModelSource.parts(of: path) == [path])
    }

    @Test("a split of more parts than a message has descriptors is refused")
    func tooMany() {
        #expect(throws: (any Error).self) { try ModelSource.parts(of: "m-00001-of-00129.gguf") }
    }

    @Test("all parts are opened in their order")
    func open() throws {
        let folder = try TemporaryFolder()
        for number in 1...3 {
            try Data("part \(number)".utf8).write(
                to: folder.url.appendingPathComponent("m-0000\(number)-of-00003.gguf"))
        }
        let path = folder.url.appendingPathComponent("m-00002-of-00003.gguf").path
        let model = try ModelSource.file(path: path).open()
        #expect(model.source == .descriptors(count: 3))
        let texts = model.descriptors.map { descriptor in
            FileHandle(fileDescriptor: descriptor, closeOnDealloc: false).readDataToEndOfFile()
        }
        #expect(texts == (1...3).map { Data("part \($0)".utf8) })
    }

    @Test("below the allowed folders a path opens, and nothing leads out of them")
    func roots() throws {
        let (inside, outside) = (try TemporaryFolder(), try TemporaryFolder())
        let roots = AllowedRoots(folders: [inside.url.path])
        func write(_ folder: TemporaryFolder, _ name: String) throws -> String {
            let file = folder.url.appendingPathComponent(name)
            try Data("x".utf8).write(to: file)
            return file.path
        }
        func link(_ name: String, to target: String) throws -> String {
            let path = inside.url.appendingPathComponent(name).path
            try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: target)
            return path
        }
        let (good, bad) = (try write(inside, "m.gguf"), try write(outside, "m.gguf"))
        for path in [good, try link("link.gguf", to: good)] {
            #expect(try ModelSource.file(path: path).open(within: roots).descriptors.count == 1)
        }
        let refused = [
            bad, try link("out.gguf", to: bad), try link("folder", to: outside.url.path) + "/m.gguf",
            inside.url.path + "/../" + outside.url.lastPathComponent + "/m.gguf",
            outside.url.path + "/none.gguf", inside.url.path + "/../none.gguf", "/etc/passwd", "/dev/null",
        ]
        for path in refused {
            #expect(throws: EngineError.pathNotAllowed(path: path)) {
                _ = try ModelSource.file(path: path).open(within: roots)
            }
        }
        // What is missing inside may be told.
        #expect(throws: (any Error).self) {
            _ = try ModelSource.file(path: inside.url.path + "/n.gguf").open(within: roots)
        }
        #expect(throws: EngineError.pathNotAllowed(path: good)) {
            _ = try ModelSource.file(path: good).open(within: AllowedRoots(folders: []))
        }
        #expect(!AllowedRoots.isBelow("/models", "/models-of-others/m.gguf"))
    }

    @Test("a missing part, a directory and a missing file are errors that name the file but not its folder")
    func unreadable() throws {
        let folder = try TemporaryFolder()
        let first = folder.url.appendingPathComponent("m-00001-of-00002.gguf").path
        try Data("x".utf8).write(to: URL(fileURLWithPath: first))
        let absent = folder.url.appendingPathComponent("none.gguf").path
        let cases = [
            (first, "'m-00002-of-00002.gguf'"), (folder.url.path, "'\(folder.url.lastPathComponent)'"),
            (absent, "'none.gguf'"), ("/dev/null", "not a regular file"),
        ]
        for (path, named) in cases {
            do {
                _ = try ModelSource.file(path: path).open()
                Issue.record("\(path) was opened")
            } catch {
                #expect(error.text.contains(named))
                #expect(!error.text.contains(folder.url.path))
            }
        }
    }
}

final class TemporaryFolder {
    let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory.appendingPathComponent("apus-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    /// A program that the kernel runs with `/bin/sh`.
    func script(_ text: String) throws -> String {
        let file = url.appendingPathComponent("worker-\(UUID().uuidString)")
        try Data("#!/bin/sh\n\(text)\n".utf8).write(to: file)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file.path)
        return file.path
    }
}
