import Foundation
import Platform
import Testing

@Suite(.timeLimit(.minutes(10))) struct SocketTests {
    @Test(arguments: ["127.0.0.1", "localhost"])
    func aTCPConnectionCarriesBytesAndKnowsItsPeer(host: String) throws {
        let listener = try Socket.listenTCP(host: host, port: 0)
        #expect(listener.port > 0)
        let early = try Socket.accept(listener.descriptor.rawValue) == nil
        #expect(early)
        let client = try Socket.connectTCP(host: host, port: listener.port)
        try waitReadable(listener.descriptor.rawValue)
        let accepted = try Socket.accept(listener.descriptor.rawValue)
        let server = accepted?.release() ?? -1
        try #require(server >= 0)
        defer { close(server) }
        #expect(Socket.connectionError(client.rawValue) == nil)
        let peer = try #require(Socket.peerAddress(server))
        #expect(peer.isLoopback)
        #expect(["127.0.0.1", "::1"].contains(peer.text))
        #expect(try Socket.write(client.rawValue, Array("ab".utf8), Array("cd".utf8)) == .bytes(4))
        try waitReadable(server)
        #expect(try readText(server) == "abcd")
        Socket.shutdownWriting(client.rawValue)
        try waitReadable(server)
        #expect(try readText(server) == nil)
    }

    @Test func aUnixSocketHasItsModeAndAnUnclearPathIsRefused() throws {
        let folder = try TemporaryFolder()
        let path = folder.path("socket")
        let listener = try Socket.listenUnix(path: path, mode: 0o600, backlog: 4)
        var status = stat()
        #expect(stat(path, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600)
        let client = try Socket.connectUnix(path: path)
        #expect(Socket.peerAddress(client.rawValue) == nil)
        let accepted = try Socket.accept(listener.rawValue) != nil
        #expect(accepted)
        for bad in [path, "", String(repeating: "x", count: 200), "a\0b"] {
            #expect(throws: SystemError.self) { _ = try Socket.listenUnix(path: bad, mode: 0o600, backlog: 4) }
        }
    }

    @Test func readingNothingIsNoEndAndAClosedPeerRaisesNoSignal() throws {
        let pair = try Socket.pair()
        #expect(try readText(pair.first.rawValue) == "")
        let near = pair.first.release()
        defer { close(near) }
        close(pair.second.release())
        #expect(try readText(near) == nil)
        #expect(try Socket.write(near, Array("x".utf8)) == .endOfStream)
    }

    @Test func aListenerFromElsewhereIsTakenOverAndNothingElse() throws {
        let folder = try TemporaryFolder()
        let tcp = try Socket.listenTCP(host: "127.0.0.1", port: 0)
        let unix = try Socket.listenUnix(path: folder.path("socket"))
        for descriptor in [tcp.descriptor.rawValue, unix.rawValue] {
            let copy = dup(descriptor)
            _ = fcntl(copy, F_SETFL, 0)
            let adopted = try Socket.adoptListener(copy)
            let none = try Socket.accept(adopted.rawValue) == nil
            #expect(none, "it must not wait")
            #expect(fcntl(adopted.rawValue, F_GETFD) == FD_CLOEXEC)
        }
        let address = try #require(Socket.ownAddress(tcp.descriptor.rawValue))
        #expect(address.text == "127.0.0.1" && address.port == tcp.port && address.isLoopback)
        #expect(Socket.ownAddress(unix.rawValue) == nil)
        let pair = try Socket.pair()
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        let file = try FileDescriptor.memory(name: "m", bytes: nothing, sealed: false)
        for wrong in [pair.first.rawValue, file.rawValue, 999] {
            #expect(throws: SystemError.self) { _ = try Socket.adoptListener(wrong) }
        }
    }

    @Test(arguments: [true, false])
    func aDatagramReachesAPathAndAnAbstractName(isAbstract: Bool) throws {
        let folder = try TemporaryFolder()
        let path = isAbstract ? "@apus-test-\(getpid())" : folder.path("datagrams")
        var bytes = Array(path.utf8)
        if isAbstract { bytes[0] = 0 }
        var name = sockaddr_un()
        name.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: bytes) }
        let receiver = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        defer { close(receiver) }
        let size = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
        let bound = withUnsafePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(receiver, $0, size) }
        }
        try #require(bound == 0)
        let sender = try Socket.datagram()
        try Socket.send(sender.rawValue, datagram: Array("READY=1".utf8), to: path)
        var buffer = [UInt8](repeating: 0, count: 64)
        #expect(recv(receiver, &buffer, buffer.count, 0) == 7)
        #expect(String(decoding: buffer[..<7], as: UTF8.self) == "READY=1")
        for bad in ["/nowhere/notify", "", "@" + String(repeating: "x", count: 200), "a\0b"] {
            #expect(throws: SystemError.self) { try Socket.send(sender.rawValue, datagram: [1], to: bad) }
        }
    }

    @Test func aFullSocketWouldBlock() throws {
        let pair = try Socket.pair()
        let block = [UInt8](repeating: 1, count: 65536)
        var total = 0
        var last = Socket.IO.bytes(0)
        while last != .wouldBlock {
            last = try Socket.write(pair.first.rawValue, block)
            if case .bytes(let count) = last { total += count }
            try #require(total < 64 << 20)
        }
        #expect(total > 0)
    }

    @Test func descriptorsTravelWithTheBytes() throws {
        let pair = try Socket.pair()
        let memory = try Array("hello".utf8).withUnsafeBytes {
            try FileDescriptor.memory(name: "test", bytes: $0, sealed: true).release()
        }
        defer { close(memory) }
        let sent = try Array("ab".utf8).withUnsafeBytes {
            try Socket.send(pair.first.rawValue, $0, descriptors: [memory, memory])
        }
        #expect(sent == .bytes(2))
        var bytes = [UInt8](repeating: 0, count: 16)
        let (io, descriptors) = try bytes.withUnsafeMutableBytes {
            try Socket.receive(pair.second.rawValue, into: $0, maximumDescriptors: 2)
        }
        #expect(io == .bytes(2))
        try #require(descriptors.count == 2)
        for descriptor in descriptors {
            #expect(fcntl(descriptor, F_GETFD) & FD_CLOEXEC != 0)
            #expect(try MappedFile(descriptor: descriptor).withBytes { Array($0) } == Array("hello".utf8))
            close(descriptor)
        }
    }

    @Test func moreDescriptorsThanAllowedAreAnErrorAndAreClosed() throws {
        let pair = try Socket.pair()
        let carried = try Socket.pair()
        let watched = carried.first.release()
        let other = carried.second.release()
        defer { close(watched) }
        _ = try [1].withUnsafeBytes {
            try Socket.send(
                pair.first.rawValue, UnsafeRawBufferPointer(rebasing: $0[..<1]), descriptors: [other, other])
        }
        close(other)
        // The only copies of the carried end are now inside the message.
        #expect(try readText(watched) == "")
        var bytes = [UInt8](repeating: 0, count: 16)
        let error = #expect(throws: SystemError.self) {
            try bytes.withUnsafeMutableBytes {
                try Socket.receive(pair.second.rawValue, into: $0, maximumDescriptors: 1)
            }
        }
        #expect(error?.code == EMSGSIZE)
        #expect(try readText(watched) == nil)
    }

    @Test func aUnixSocketKnowsItsPeerAndWaitingEndsInTime() throws {
        let pair = try Socket.pair()
        let peer = try PeerCredentials(of: pair.first.rawValue)
        #expect(peer.processID == getpid() && peer.userID == geteuid() && peer.groupIDs.first == getegid())
        #expect(peer.isOwnUser && peer.isUser(geteuid()))
        #expect(peer.isUser(geteuid() + 1) == (geteuid() == 0), "root is let in as anybody")
        let group = try #require(getgrgid(getegid()).map { String(cString: $0.pointee.gr_name) })
        #expect(peer.isMember(ofGroup: group) && !peer.isMember(ofGroup: "no-such-group"))
        var others = [gid_t](repeating: 0, count: 1024)
        let count = getgroups(Int32(others.count), &others)
        #expect(Set(peer.groupIDs.dropFirst()) == Set(others.prefix(Int(count))))
        let near = pair.first.rawValue
        #expect(try !Socket.waitReadable(near, milliseconds: 0))
        #expect(try Socket.waitWritable(near, milliseconds: 0))
        _ = try Socket.write(pair.second.rawValue, Array("x".utf8))
        #expect(try Socket.waitReadable(near, milliseconds: 10_000))
    }

    @Test func aTakenPortIsAnErrorThatNamesTheAddress() throws {
        let listener = try Socket.listenTCP(host: "127.0.0.1", port: 0)
        let port = listener.port
        let error = #expect(throws: SystemError.self) { _ = try Socket.listenTCP(host: "127.0.0.1", port: port) }
        #expect(error?.code == EADDRINUSE)
        #expect(error?.description.contains("127.0.0.1 port \(port)") == true)
        #expect(throws: SystemError.self) { _ = try Socket.listenTCP(host: "no such host", port: 0) }
    }
}

extension Socket {
    fileprivate static func write(_ descriptor: Int32, _ bytes: [UInt8]) throws -> IO {
        try bytes.withUnsafeBytes { try write(descriptor, $0) }
    }

    fileprivate static func write(_ descriptor: Int32, _ first: [UInt8], _ second: [UInt8]) throws -> IO {
        try first.withUnsafeBytes { first in
            try second.withUnsafeBytes { second in try write(descriptor, first, second) }
        }
    }
}

/// What can be read now: empty when nothing is there yet, nil at the end.
private func readText(_ descriptor: Int32) throws -> String? {
    var bytes = [UInt8](repeating: 0, count: 65536)
    switch try bytes.withUnsafeMutableBytes({ try Socket.read(descriptor, into: $0) }) {
    case .bytes(let count): return String(decoding: bytes[..<count], as: UTF8.self)
    case .wouldBlock: return ""
    case .endOfStream: return nil
    }
}

private func waitReadable(_ descriptor: Int32) throws {
    var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    try #require(poll(&wait, 1, 10_000) == 1)
}
