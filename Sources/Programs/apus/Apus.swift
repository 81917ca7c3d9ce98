import Gateway
@main struct Apus { static func main() { ApusTemp.main() } }
