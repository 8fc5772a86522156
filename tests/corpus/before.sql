-- As superuser, in the database `postgres`.
CREATE ROLE sallyport_app LOGIN PASSWORD '${PASSWORD}';
CREATE DATABASE corpus OWNER sallyport_app;
CREATE ROLE sallyport_other;
GRANT sallyport_other TO sallyport_app;
GRANT pg_read_server_files, pg_write_server_files, pg_execute_server_program, pg_read_all_stats TO sallyport_app;
GRANT ALTER SYSTEM ON PARAMETER log_min_duration_statement TO sallyport_app;
