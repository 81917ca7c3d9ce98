import Testing

@testable import OpenAIAPI

@Suite("Host and Origin")
struct OriginPolicyTests {
    private let policy = OriginPolicy(
        allowedHosts: ["Box.example"], allowedOrigins: ["https://chat.example"], isLoopback: true)

    @Test(
        "on loopback a Host is localhost, an address, or a configured name",
        arguments: [
            ("localhost", true), ("LOCALHOST:8080", true), ("127.0.0.1:8080", true), ("[::1]:8080", true),
            ("[::1]", true), ("192.168.1.5", true), ("box.example:1", true), ("evil.example", false), ("", false),
            ("localhost.evil.example", false), ("127.0.0.1.evil.example", false), ("256.0.0.1", false),
            ("[evil.example]", false), ("1.2.3", false),
        ])
    func hosts(host: String, isAllowed: Bool) {
        #expect(policy.allows(host: host) == isAllowed)
        #expect(OriginPolicy(allowedHosts: [], allowedOrigins: [], isLoopback: false).allows(host: host))
    }

    @Test(
        "an Origin is this server's own or a configured one",
        arguments: [
            ("http://127.0.0.1:8080", true), ("https://chat.example", true), ("https://CHAT.example", true),
            ("http://chat.example", false), ("https://chat.example.evil.example", false), ("null", false), ("", false),
            ("http://127.0.0.1:9090", false),
        ])
    func origins(origin: String, isAllowed: Bool) {
        #expect(policy.allows(origin: origin, host: "127.0.0.1:8080") == isAllowed)
    }

    @Test("only configured pages may read answers")
    func sharing() {
        #expect(policy.sharesAnswers(withOrigin: "https://chat.example"))
        #expect(!policy.sharesAnswers(withOrigin: "http://127.0.0.1:8080"))
    }
}
