import Testing

@testable import HTTPServer

@Suite struct HTTPGrammarTests {
    private func check(_ text: String, _ rule: (Slice<UnsafeRawBufferPointer>) -> Bool) -> Bool {
        Array(text.utf8).withUnsafeBytes { rule($0[...]) }
    }

    @Test(arguments: [
        "localhost", "a", "A-b.c_d~", "127.0.0.1", "127.0.0.1:0", "a:65535", "[::1]", "[::ffff:1.2.3.4]:80", "a.",
    ])
    func anAuthorityIsAHostWithAnOptionalPort(text: String) {
        #expect(check(text, HTTPGrammar.isAuthority))
    }

    @Test(arguments: [
        "/", "//", "/a/b.c", "/%2F", "/?", "/a?b=c&d=/?:@", "/!$&'()*+,;=:@-._~",
    ])
    func aPathStartsWithASlash(text: String) {
        #expect(check(text, HTTPGrammar.isPath))
    }

    @Test(arguments: ["", "a", "*", "/ ", "/\\", "/^", "/`", "/{", "/|", "/}", "/<", "/>", "/%", "/%1", "/%1g", "/#"])
    func whatIsNoPathIsRefused(text: String) {
        #expect(!check(text, HTTPGrammar.isPath))
    }

    @Test func everyByteIsInItsSetsAndInNoOther() {
        for byte in UInt8.min...UInt8.max {
            let scalar = Unicode.Scalar(byte)
            let isLetterOrDigit = byte < 128 && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar))
            let isName = isLetterOrDigit || (byte < 128 && "!#$%&'*+-.^`|~".unicodeScalars.contains(scalar))
            #expect(HTTPGrammar.nameCharacters.contains(byte) == isName, "byte \(byte)")
            #expect(HTTPGrammar.methodCharacters.contains(byte) == (isName || scalar == "_"), "byte \(byte)")
            #expect(HTTPGrammar.isFieldByte(byte) == (byte == 9 || (byte >= 32 && byte != 127)), "byte \(byte)")
        }
    }

    @Test func numbersAreReadExactlyOrNotAtAll() {
        func decimal(_ text: String) -> Int? { Array(text.utf8).withUnsafeBytes { HTTPGrammar.decimal($0[...]) } }
        func hexadecimal(_ text: String) -> Int? {
            Array(text.utf8).withUnsafeBytes { HTTPGrammar.hexadecimal($0[...]) }
        }
        #expect(decimal("0") == 0)
        #expect(decimal("999999999999999999") == 999_999_999_999_999_999)
        #expect(decimal("1000000000000000000") == nil)
        #expect(decimal("") == nil)
        #expect(hexadecimal("aF09") == 0xAF09)
        #expect(hexadecimal("fffffffffffffff") == 0xFFF_FFFF_FFFF_FFFF)
        #expect(hexadecimal("1000000000000000") == nil)
        #expect(hexadecimal("g") == nil)
    }
}

@Suite struct ResponseHeadTests {
    private func head(
        _ headers: [HTTPHeader], framing: HTTPResponseHead.Framing = .length(5), version: HTTPVersion = .oneOne,
        keepsAlive: Bool = true, status: Int = 200
    ) -> String {
        var bytes: [UInt8] = []
        HTTPResponseHead.append(
            to: &bytes, status: status, headers: headers, framing: framing, version: version, keepsAlive: keepsAlive,
            date: Array("today".utf8))
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test func aHeadSaysHowTheBodyEnds() {
        #expect(head([]) == "HTTP/1.1 200 OK\r\nDate: today\r\nContent-Length: 5\r\n\r\n")
        #expect(
            head([], framing: .chunked, keepsAlive: false)
                == "HTTP/1.1 200 OK\r\nDate: today\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
        #expect(
            head([], version: .oneZero)
                == "HTTP/1.1 200 OK\r\nDate: today\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n")
        #expect(head([], framing: .none, status: 299) == "HTTP/1.1 299 \r\nDate: today\r\n\r\n")
    }

    @Test func aValueCannotAddAFieldAndFramingFieldsAreTheServers() {
        let headers = [
            HTTPHeader("X", "a\r\nSet-Cookie: b\u{0}"), HTTPHeader("Content-length", "9"),
            HTTPHeader("TRANSFER-ENCODING", "x"), HTTPHeader("connection", "x"), HTTPHeader("date", "x"),
            HTTPHeader("bad name", "x"), HTTPHeader("a:b\r\n", "x"), HTTPHeader("", "x"), HTTPHeader("Y", "ü"),
        ]
        #expect(
            head(headers)
                == "HTTP/1.1 200 OK\r\nDate: today\r\nContent-Length: 5\r\nX: a  Set-Cookie: b \r\nY: ü\r\n\r\n")
    }

    @Test(
        arguments: [
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"), (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"), (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"), (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (1_767_225_599, "Wed, 31 Dec 2025 23:59:59 GMT"),
        ] as [(UInt64, String)])
    func aDateIsWrittenAsTheFieldWantsIt(seconds: UInt64, text: String) {
        #expect(String(decoding: HTTPDate.format(unixSeconds: seconds), as: UTF8.self) == text)
    }
}
