import Policies
import Testing

@Suite("API keys")
struct APIKeysTests {
    @Test("a file has one key on each line; comments and blank lines do not count")
    func file() throws {
        let keys = try APIKeys(file: Array("# keys\nfirst-key\n\n  second-key \r\n".utf8))
        #expect(keys.isRequired)
        #expect(keys.tenant(of: Array("first-key".utf8)) == "key-1")
        #expect(keys.tenant(of: Array("second-key".utf8)) == "key-2")
        for wrong in ["", "first-ke", "first-key ", "first-keyx", "# keys"] {
            #expect(keys.tenant(of: Array(wrong.utf8)) == nil, "\(wrong)")
        }
    }

    @Test("a key that stays keeps its tenant, and a new one never gets that of another")
    func replacing() throws {
        let first = try APIKeys(file: Array("key-aaaa\nkey-bbbb\n".utf8))
        let second = try APIKeys(file: Array("key-cccc\nkey-bbbb\n".utf8), replacing: first)
        #expect(second.tenant(of: Array("key-bbbb".utf8)) == "key-2")
        #expect(second.tenant(of: Array("key-cccc".utf8)) == "key-3")
        #expect(second.tenant(of: Array("key-aaaa".utf8)) == nil)
        let third = try APIKeys(file: Array("key-aaaa\n".utf8), replacing: APIKeys(replacing: second))
        #expect(third.tenant(of: Array("key-aaaa".utf8)) == "key-4")
    }

    @Test("without keys none is needed")
    func none() { #expect(!APIKeys().isRequired) }

    @Test(
        "a file that cannot be right is refused, without showing a key",
        arguments: [
            ("", "holds no key"), ("# only a comment\n", "holds no key"), ("short\n", "line 1"),
            ("good-key-1\nbad key here\n", "line 2"), ("käse-schlüssel\n", "printable ASCII"),
            (String(repeating: "k", count: 257), "256"),
            ((0..<1025).map { "key-number-\($0)" }.joined(separator: "\n"), "more than 1024 keys"),
        ])
    func bad(text: String, message: String) throws {
        let error = try #require(throws: APIKeys.Invalid.self) { try APIKeys(file: Array(text.utf8)) }
        #expect(error.description.contains(message), "\(error.description)")
        #expect(!error.description.contains("bad key") && !error.description.contains("schl"))
    }
}
