# Says who answers.
require "socket"

server = TCPServer.new("0.0.0.0", Integer(ENV.fetch("PORT")))
body = "ruby #{RUBY_VERSION}\n"
loop do
  client = server.accept
  # The head of the request; a health check sends none.
  while (line = client.gets) && line != "\r\n"; end
  client.write("HTTP/1.1 200 OK\r\nContent-Length: #{body.bytesize}\r\nConnection: close\r\n\r\n#{body}")
  client.close
rescue SystemCallError, IOError
  client&.close
end
