-- What must answer 200 before an app with health check type http counts as running; NULL = `/`.
ALTER TABLE apps ADD COLUMN health_check_http_endpoint TEXT;
